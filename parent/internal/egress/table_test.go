package egress

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/supervisor"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

var nop = zap.NewNop()

func newRegistry() *prometheus.Registry { return prometheus.NewRegistry() }

// named is a TCP server that says its name and then repeats what it is told.
func named(t *testing.T, name string) uint16 {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				_, _ = io.WriteString(c, name)
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// ask connects to a port of the parent and reads n bytes.
func ask(t *testing.T, network vsock.Network, port uint32, n int) (vsock.Conn, string) {
	t.Helper()
	c, err := network.Dial(t.Context(), vsock.CIDParent, port)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	b := make([]byte, n)
	_, err = io.ReadFull(c, b)
	if err != nil {
		_ = c.Close()
		return nil, err.Error()
	}
	return c, string(b)
}

// TestChange moves, removes, adds and swaps routes under live connections.
func TestChange(t *testing.T) {
	dir := unixvsock.Dir(t.TempDir())
	registry := newRegistry()
	one, two := named(t, "one"), named(t, "two")
	route := func(name string, port uint16, at uint32) wire.Route {
		return wire.Route{Name: name, Host: "127.0.0.1", Port: port, VsockPort: at, Plain: true}
	}
	s := supervisor.New(nop, registry, time.Second)
	table := NewTable(config(dir), []wire.Route{route("stays", one, 8001), route("moves", one, 8002), route("goes", one, 8003)}, nop, newMetrics(registry), s.Keep)
	if err := table.Bind(); err != nil {
		t.Fatal(err)
	}
	s.Add(supervisor.Task{Name: table.Name(), Run: table.Run})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()

	var live []vsock.Conn
	for _, port := range []uint32{8001, 8002, 8003} {
		c, got := ask(t, dir, port, 3)
		if got != "one" {
			t.Fatalf("port %d: %s", port, got)
		}
		live = append(live, c)
	}
	table.Change(ctx, config(dir), []wire.Route{route("stays", one, 8001), route("moves", two, 8002), route("new", two, 8003)})
	table.Change(ctx, config(dir), []wire.Route{route("stays", one, 8001), route("moves", two, 8002), route("new", two, 8004)})
	for port, want := range map[uint32]string{8001: "one", 8002: "two", 8004: "two"} {
		c, got := ask(t, dir, port, 3)
		if got != want {
			t.Errorf("port %d: %s, want %s", port, got, want)
			continue
		}
		live = append(live, c)
	}
	if c, err := dir.Dial(t.Context(), vsock.CIDParent, 8003); err == nil {
		_ = c.Close()
		t.Error("the removed route still listens")
	}
	for i, c := range live {
		if _, err := io.WriteString(c, "still here"); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
		b := make([]byte, len("still here"))
		if _, err := io.ReadFull(c, b); err != nil || !slices.Equal(b, []byte("still here")) {
			t.Errorf("connection %d: %q, %v", i, b, err)
		}
		_ = c.Close()
	}
	if err := s.Healthy(); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
