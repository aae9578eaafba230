package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/forward"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/resolve"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func TestPermit(t *testing.T) {
	for _, test := range []struct {
		address, host string
		loopback, ok  bool
	}{
		{"52.94.1.1", "kms.eu-central-1.amazonaws.com", false, true},
		{"10.0.0.7", "db.internal", false, true}, // private networks are where databases live
		{"fd00:ec2::23", "fd00:ec2::23", false, true},
		{"169.254.170.23", "169.254.170.23", false, true},
		{"169.254.169.254", "169.254.169.254", false, true},
		{"169.254.169.254", "kms.eu-central-1.amazonaws.com", false, false}, // a name server that lies
		{"169.254.169.254", "169.254.170.23", false, false},
		{"169.254.1.1", "169.254.1.1", false, false},
		{"fe80::1", "fe80::1", false, false},
		{"127.0.0.1", "localhost", false, false},
		{"127.0.0.1", "127.0.0.1", false, false},
		{"::1", "localhost", false, false},
		{"0.0.0.0", "db.internal", false, false},
		{"::", "db.internal", false, false},
		{"224.0.0.1", "db.internal", false, false},
		{"255.255.255.255", "db.internal", false, false},
		{"127.0.0.1", "localhost", true, true},
		{"::1", "localhost", true, true},
		{"0.0.0.0", "db.internal", true, false},
		{"169.254.169.254", "db.internal", true, false},
	} {
		err := permit(netip.MustParseAddr(test.address), test.host, test.loopback)
		if (err == nil) != test.ok || err != nil && !errors.Is(err, forward.ErrForbidden) {
			t.Errorf("permit(%s, %s, %v) = %v", test.address, test.host, test.loopback, err)
		}
	}
}

// TestLyingNameServer leads a route's name to this host.
func TestLyingNameServer(t *testing.T) {
	dir := unixvsock.Dir(t.TempDir())
	port := upper(t)
	r := New(Config{Network: dir, CID: 16, Limits: limits, Lookup: func(context.Context, string) (resolve.Answer, error) {
		return resolve.Answer{Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("169.254.169.254")}}, nil
	}}, wire.Route{Name: "db", Host: "db.example.org", Port: port, VsockPort: 8001, Plain: true}, nop, newMetrics(newRegistry()))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx, ctx) }()
	if _, err := r.name.Addresses(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c, err := r.dial(t.Context()); !errors.Is(err, forward.ErrForbidden) {
		t.Errorf("dial = %v, %v", c, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTakeTurns(t *testing.T) {
	for _, test := range []struct{ in, want []string }{
		{[]string{"[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1", "1.0.0.2:1"}, []string{"[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"}},
		{[]string{"1.0.0.1:1", "[::1]:1", "[::2]:1"}, []string{"1.0.0.1:1", "[::1]:1", "[::2]:1"}},
		{[]string{"1.0.0.1:1", "1.0.0.2:1"}, []string{"1.0.0.1:1", "1.0.0.2:1"}},
	} {
		var in []netip.AddrPort
		for _, a := range test.in {
			in = append(in, netip.MustParseAddrPort(a))
		}
		var got []string
		for _, a := range takeTurns(in) {
			got = append(got, a.String())
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestSecondAddress reaches the second address while the first refuses, and while it is silent.
func TestSecondAddress(t *testing.T) {
	port := upper(t)
	for name, first := range map[string]netip.AddrPort{
		"refused": netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port),
		"silent":  silent(t),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			c, err := dialTCP(ctx, []netip.AddrPort{first, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)})
			if err != nil {
				t.Fatal(err)
			}
			if got := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().String(); got != "127.0.0.1" {
				t.Errorf("connected to %s", got)
			}
			_ = c.Close()
		})
	}
	_, err := dialTCP(t.Context(), []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), port)})
	if op, ok := errors.AsType[*net.OpError](err); !ok || op.Addr.(*net.TCPAddr).IP.String() != "127.0.0.2" {
		t.Errorf("nobody there: %v, want the first address's error", err)
	}
}
