package egress

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/resolve"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/supervisor"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// runTable starts a table and stops it at the end of the test.
func runTable(t *testing.T, cfg Config, registry *prometheus.Registry, routes ...wire.Route) *Table {
	t.Helper()
	s := supervisor.New(nop, registry, time.Second)
	table := NewTable(cfg, routes, nop, newMetrics(registry), s.Keep)
	if err := table.Bind(); err != nil {
		t.Fatal(err)
	}
	s.Add(supervisor.Task{Name: table.Name(), Run: table.Run})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return table
}

// TestReloadWhileNoNameServerAnswers changes what all routes are bound by, and one route's port and name: each new connection gets through.
func TestReloadWhileNoNameServerAnswers(t *testing.T) {
	dir := unixvsock.Dir(t.TempDir())
	var dead atomic.Bool
	cfg := config(dir)
	cfg.Lookup = func(context.Context, string) (resolve.Answer, error) {
		if dead.Load() {
			return resolve.Answer{}, errors.New("server misbehaving")
		}
		return resolve.Answer{Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, TTL: time.Second}, nil
	}
	route := wire.Route{Name: "db", Host: "db.example.org", Port: named(t, "one"), VsockPort: 8001, Plain: true}
	table := runTable(t, cfg, newRegistry(), route)
	reaches := func(port uint32) {
		t.Helper()
		c, got := ask(t, dir, port, 3)
		if got != "one" {
			t.Fatalf("port %d: %s", port, got)
		}
		_ = c.Close()
	}
	reaches(8001)
	dead.Store(true)
	cfg.Limits.IdleTimeout *= 2
	table.Change(t.Context(), cfg, []wire.Route{route})
	reaches(8001)
	route.Name, route.VsockPort = "database", 8002
	table.Change(t.Context(), cfg, []wire.Route{route})
	reaches(8002)
}

// TestSeriesOfARemovedRoute stay for as long as one of its connections, and not when a route of that name is back.
func TestSeriesOfARemovedRoute(t *testing.T) {
	dir := unixvsock.Dir(t.TempDir())
	registry := newRegistry()
	port := named(t, "one")
	stays := wire.Route{Name: "stays", Host: "127.0.0.1", Port: port, VsockPort: 8001, Plain: true}
	goes := wire.Route{Name: "goes", Host: "127.0.0.1", Port: port, VsockPort: 8002, Plain: true}
	table := runTable(t, config(dir), registry, stays, goes)
	connect := func(at uint32) vsock.Conn {
		t.Helper()
		c, got := ask(t, dir, at, 3)
		if got != "one" {
			t.Fatal(got)
		}
		return c
	}
	ends := func(c vsock.Conn) { // and its route with it, if it is the last
		t.Helper()
		_ = c.CloseWrite()
		if _, err := io.ReadAll(c); err != nil {
			t.Error(err)
		}
		_ = c.Close()
	}
	ends(connect(8001))
	first := connect(8002)
	before := seriesOf(t, registry, "egress/stays")
	if got := seriesOf(t, registry, "egress/goes"); got != before || got < 20 {
		t.Fatalf("%d series, the other route has %d", got, before)
	}

	table.Change(t.Context(), config(dir), []wire.Route{stays})
	if sum(t, registry, "containment_parent_connections_accepted_total", "egress/goes") != 1 {
		t.Error("the series went before the last connection")
	}
	table.Change(t.Context(), config(dir), []wire.Route{stays, goes})
	second := connect(8002)
	ends(first)
	awaitMembers(t, table, 1)
	if sum(t, registry, "containment_parent_connections_accepted_total", "egress/goes") != 2 {
		t.Error("the series went with the first route, the second one lives")
	}
	table.Change(t.Context(), config(dir), []wire.Route{stays})
	ends(second)
	awaitMembers(t, table, 0)
	if got := seriesOf(t, registry, "egress/goes"); got != 0 {
		t.Errorf("%d series are left", got)
	}
	if got := seriesOf(t, registry, "egress/stays"); got != before {
		t.Errorf("the route that stays has %d series, had %d", got, before)
	}
	table.Change(t.Context(), config(dir), []wire.Route{stays, goes})
	if sum(t, registry, "containment_parent_connections_accepted_total", "egress/goes") != 0 {
		t.Error("a route that is back goes on counting")
	}
}

// awaitMembers waits until so many routes called "goes" have not ended.
func awaitMembers(t *testing.T, table *Table, want int) {
	t.Helper()
	late := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		table.mu.Lock()
		n := table.alike["goes"]
		table.mu.Unlock()
		if n == want {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%d routes live, want %d", n, want)
		}
	}
}

// seriesOf counts the series with a label of that value.
func seriesOf(t *testing.T, registry *prometheus.Registry, value string) (n int) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == value && strings.HasPrefix(f.GetName(), "containment_parent_") {
					n++
				}
			}
		}
	}
	return n
}

func TestPing(t *testing.T) {
	table := NewTable(config(unixvsock.Dir(t.TempDir())), nil, nop, newMetrics(newRegistry()), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := table.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a table that does not run: %v", err)
	}
	running, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- table.Run(running, running) }()
	for range 3 {
		if err := table.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := table.Ping(t.Context()); err != nil {
		t.Errorf("a table that was asked to end: %v", err)
	}
}
