package egress

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testLimits = Limits{MaxConnections: 2, ConnectTimeout: 10 * time.Second, IdleTimeout: 10 * time.Minute, HalfOpenTimeout: time.Minute}

// parent notes where it was dialled.
type parent struct {
	memvsock.Network
	asked []string
}

func (p *parent) Dial(ctx context.Context, cid, port uint32) (vsock.Conn, error) {
	p.asked = append(p.asked, fmt.Sprintf("%d:%d", cid, port))
	return p.Network.Dial(ctx, cid, port)
}

func testRoutes() []wire.Route {
	return []wire.Route{
		{Name: "kms", Host: "kms.eu-west-1.amazonaws.com", Port: 443, VsockPort: 8001},
		{Name: "db", Host: "DB.internal.", Port: 5432, VsockPort: 8002},
		{Name: "db-admin", Host: "db.internal", Port: 5433, VsockPort: 8003},
		{Name: "six", Host: "2001:DB8::1", Port: 443, VsockPort: 9001},
	}
}

func TestDialContext(t *testing.T) {
	for _, tc := range []struct {
		address string
		port    uint32
	}{
		{"kms.eu-west-1.amazonaws.com:443", 8001},
		{"KMS.eu-west-1.amazonaws.com.:443", 8001},
		{"db.internal:5432", 8002},
		{"db.internal:5433", 8003},
		{"[2001:db8:0::1]:443", 9001},
	} {
		t.Run(tc.address, func(t *testing.T) {
			p := &parent{}
			l, err := p.Listen(tc.port)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			accepted := make(chan error, 1)
			go func() {
				c, err := l.Accept()
				if err == nil {
					err = c.Close()
				}
				accepted <- err
			}()
			d, err := New(testRoutes(), p, testLimits, prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			c, err := d.DialContext(t.Context(), "tcp", tc.address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := <-accepted; err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]string{fmt.Sprintf("3:%d", tc.port)}, p.asked); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDialContextRefuses(t *testing.T) {
	const known = "; the routes are [2001:db8::1]:443, db.internal:5432, db.internal:5433, kms.eu-west-1.amazonaws.com:443; "
	for _, tc := range []struct{ network, address, want string }{
		{"tcp", "evil.example:443", "no egress route to evil.example:443" + known},
		{"tcp", "kms.eu-west-1.amazonaws.com:80", "no egress route to kms.eu-west-1.amazonaws.com:80" + known},
		{"tcp", "eu-west-1.amazonaws.com:443", "no egress route to eu-west-1.amazonaws.com:443" + known},
		{"tcp", "127.0.0.1:5432", "no egress route to 127.0.0.1:5432" + known},
		{"tcp", "db.internal", `address "db.internal" is not host:port`},
		{"tcp", "db.internal:postgres", `port "postgres" is not a number from 1 to 65535`},
		{"tcp", "db.internal:70978", `port "70978" is not a number from 1 to 65535`},
		{"tcp", "db.internal:0", `port "0" is not`},
		{"tcp", ":5432", `address ":5432" names no host`},
		{"tcp", "", `address "" is not host:port`},
		{"udp", "db.internal:5432", `egress to "db.internal:5432": network "udp" is not TCP`},
		{"tcp6", "[::1]:5432", "no egress route to [::1]:5432" + known},
		{"tcp4", "169.254.169.254:80", "no egress route to 169.254.169.254:80" + known},
		{"tcp", "[2001:db8::2]:443", "no egress route to [2001:db8::2]:443" + known},
		{"tcp", "[2001:db8::1%eth0]:443", "no egress route to [2001:db8::1%eth0]:443" + known},
		{"udp6", "[2001:db8::1]:443", `network "udp6" is not TCP`},
		{"ip4:icmp", "db.internal", `network "ip4:icmp" is not TCP`},
		{"unix", "/run/x", `network "unix" is not TCP`},
		{"unixgram", "@db.internal:5432", `network "unixgram" is not TCP`},
		{"", "db.internal:5432", `network "" is not TCP`},
	} {
		t.Run(tc.network+" "+tc.address, func(t *testing.T) {
			p, registry := &parent{}, prometheus.NewRegistry()
			d, err := New(testRoutes(), p, testLimits, registry)
			if err != nil {
				t.Fatal(err)
			}
			c, err := d.DialContext(t.Context(), tc.network, tc.address)
			if c != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, %v\nwant %s", c, err, tc.want)
			}
			if len(p.asked) != 0 {
				t.Errorf("the parent was dialled: %v", p.asked)
			}
			if got := metrics(t, registry)["containment_egress_refused_total"]; got != 1 {
				t.Errorf("%v refusals counted", got)
			}
		})
	}
}

func TestNoRouteError(t *testing.T) {
	many := make([]wire.Route, 25)
	for i := range many {
		many[i] = wire.Route{Name: fmt.Sprint(i), Host: fmt.Sprintf("h%02d", i), Port: 1, VsockPort: wire.PortEgressFirst + uint32(i)}
	}
	for _, tc := range []struct {
		routes []wire.Route
		want   string
	}{
		{nil, "no egress route to x:1; there are no routes; "},
		{many, "h18:1, h19:1 and 5 more; "},
	} {
		d, err := New(tc.routes, &parent{}, testLimits, prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.DialContext(t.Context(), "tcp", "x:1")
		refusal, ok := errors.AsType[*NoRouteError](err)
		if !ok || refusal.Host != "x" || refusal.Port != 1 || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	good := wire.Route{Name: "a", Host: "a.example", Port: 443, VsockPort: 8001}
	with := func(change func(*wire.Route)) []wire.Route {
		r := wire.Route{Name: "b", Host: "b.example", Port: 443, VsockPort: 8002}
		change(&r)
		return []wire.Route{good, r}
	}
	for _, tc := range []struct {
		want   string
		change func(*wire.Route)
	}{
		{"route 1 (\"\"): no name", func(r *wire.Route) { r.Name = "" }},
		{"no host", func(r *wire.Route) { r.Host = "." }},
		{"no port", func(r *wire.Route) { r.Port = 0 }},
		{`the name "a" stands twice`, func(r *wire.Route) { r.Name = "a" }},
		{`route "b": a.example:443 is the endpoint of route "a" too`, func(r *wire.Route) { r.Host = "A.example." }},
		{`vsock port 8001 is of route "a" too`, func(r *wire.Route) { r.VsockPort = 8001 }},
		{"vsock port 7000 is below 8001", func(r *wire.Route) { r.VsockPort = wire.PortLogs }},
		{"vsock port 9000 belongs to the enclave's init", func(r *wire.Route) { r.VsockPort = wire.PortInitHeartbeat }},
	} {
		t.Run(tc.want, func(t *testing.T) {
			d, err := New(with(tc.change), &parent{}, testLimits, prometheus.NewRegistry())
			if d != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, %v", d, err)
			}
		})
	}
}

func TestNewRefusesARegistryInUse(t *testing.T) {
	registry := prometheus.NewRegistry()
	if _, err := New(nil, &parent{}, testLimits, registry); err != nil {
		t.Fatal(err)
	}
	if d, err := New(nil, &parent{}, testLimits, registry); d != nil || err == nil || !strings.Contains(err.Error(), "register egress metrics") {
		t.Errorf("got %v, %v", d, err)
	}
}

func TestFailedDial(t *testing.T) {
	registry := prometheus.NewRegistry()
	d, err := New(testRoutes(), &parent{}, testLimits, registry)
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.DialContext(t.Context(), "tcp", "db.internal:5432")
	if c != nil || !errors.Is(err, syscall.ECONNREFUSED) || !strings.HasPrefix(err.Error(), "egress route db to db.internal:5432: ") {
		t.Errorf("got %v, %v", c, err)
	}
	got := metrics(t, registry)
	if got["containment_egress_dials_total db failed"] != 1 || got["containment_egress_dials_total db connected"] != 0 {
		t.Errorf("counted %v", got)
	}
}

func TestContextIsKept(t *testing.T) {
	p := &parent{}
	l, err := p.Listen(8002) // accepts nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d, err := New(testRoutes(), p, testLimits, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.DialContext(ctx, "tcp", "db.internal:5432"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// metrics are the registry's counters, by name and label values.
func metrics(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if route, ok := labels["route"]; ok {
				name += " " + route + " " + labels["outcome"]
			}
			got[name] = m.GetCounter().GetValue()
		}
	}
	return got
}

func FuzzParseEndpoint(f *testing.F) {
	for _, s := range []string{"a:1", "A.:65535", "[::1]:443", "[::ffff:127.0.0.1]:80", ":0", "a:b:c", "a..:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		e, err := parseEndpoint(address)
		if err != nil {
			if e != (endpoint{}) {
				t.Fatalf("%q gave %v with %v", address, e, err)
			}
			return
		}
		if again, err := parseEndpoint(e.String()); err != nil || again != e {
			t.Fatalf("%q is %v, which is %v, %v", address, e, again, err)
		}
	})
}
