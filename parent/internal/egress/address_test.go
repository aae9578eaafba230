package egress

import (
	"context"
	"errors"
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
		{"fd00:ec2::254", "fd00:ec2::254", false, true},
		{"fd00:ec2::254", "fd00:ec2:0::fe", false, false},
		{"fd00:ec2::254", "kms.eu-central-1.amazonaws.com", false, false},
		{"fd00:ec2::254%eth0", "kms.eu-central-1.amazonaws.com", false, false},
		{"fd00:ec2::23", "fd00:ec2::254", false, false},
		{"fd00:ec2::253", "fd00:ec2::253", false, false},
		{"fd00:ec2:1::1", "db.internal", false, false},
		{"fd00:ec3::1", "db.internal", false, true},
		{"::ffff:169.254.169.254", "db.internal", false, false},
		{"::ffff:169.254.169.254", "169.254.169.254", false, true},
		{"::ffff:127.0.0.1", "db.internal", false, false},
		{"::ffff:127.0.0.1", "db.internal", true, true},
		{"::ffff:255.255.255.255", "db.internal", false, false},
		{"::ffff:10.0.0.7", "db.internal", false, true},
		{"64:ff9b::a9fe:a9fe", "db.internal", false, false},
		{"64:ff9b::a9fe:a9fe", "169.254.169.254", false, false},
		{"64:ff9b::a9fe:a9fe", "64:ff9b::a9fe:a9fe", false, false},
		{"64:ff9b::7f00:1", "db.internal", false, false},
		{"64:ff9b::345e:101", "kms.eu-central-1.amazonaws.com", false, true},
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
	if a, err := r.name.Addresses(t.Context()); !errors.Is(err, forward.ErrForbidden) {
		t.Errorf("addresses %v, %v", a, err)
	}
	if c, err := r.dial(t.Context()); !errors.Is(err, forward.ErrForbidden) {
		t.Errorf("dial = %v, %v", c, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestLieIsNoAnswer: what cannot be used of an answer is dropped, and an answer of that alone is a failure, after which resolve keeps
// the last good addresses.
func TestLieIsNoAnswer(t *testing.T) {
	lie, truth := netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("192.0.2.1")
	for _, test := range []struct{ told, want []netip.Addr }{
		{[]netip.Addr{}, nil},
		{[]netip.Addr{lie}, nil},
		{[]netip.Addr{lie, netip.MustParseAddr("127.0.0.1")}, nil},
		{[]netip.Addr{truth, lie}, []netip.Addr{truth}},
		{[]netip.Addr{lie, truth}, []netip.Addr{truth}},
	} {
		told := test.told
		c := Config{Lookup: func(context.Context, string) (resolve.Answer, error) {
			return resolve.Answer{Addresses: told, TTL: time.Hour}, nil
		}}
		got, err := c.lookup(t.Context(), "db.example.org")
		if diff := cmp.Diff(test.want, got.Addresses, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
		if (err == nil) != (test.want != nil) || len(test.told) > 0 && err != nil && !errors.Is(err, forward.ErrForbidden) {
			t.Errorf("lookup of %v = %v", test.told, err)
		}
	}
	silent := errors.New("nobody answers")
	c := Config{Lookup: func(context.Context, string) (resolve.Answer, error) { return resolve.Answer{}, silent }}
	if _, err := c.lookup(t.Context(), "db.example.org"); !errors.Is(err, silent) {
		t.Errorf("lookup = %v", err)
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
