package wellknown

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSourceOf(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:50000":                   "192.0.2.1/32",
		"[::ffff:192.0.2.1]:50000":          "192.0.2.1/32",
		"[2001:db8:1:2:3:4:5:6]:50000":      "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::1]:50000":      "2001:db8:1:2::/64",
		"[2001:db8:1:3::1]:50000":           "2001:db8:1:3::/64",
		"[fe80::1%eth0]:50000":              "fe80::/64",
		"host(2):50000":                     "", // AF_VSOCK
		"vm(3):50000":                       "",
		"vsock://3:50000":                   "",
		"@":                                 "", // a unix socket
		"unix:///run/containment/9443.sock": "",
		"pipe":                              "",
		"":                                  "",
	} {
		var prefix netip.Prefix
		if want != "" {
			prefix = netip.MustParsePrefix(want)
		}
		if got := sourceOf(remote); got != prefix {
			t.Errorf("%q is of %v, want %v", remote, got, prefix)
		}
	}
}

// TestSources is a morning at the door: each step has sources ask, and tells how many proofs each gets.
func TestSources(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newSources(now)
	for i, step := range []struct {
		after  time.Duration
		source string // empty: of no address
		asks   int
		want   int
	}{
		{0, "192.0.2.1/32", 1000, 40},
		{0, "192.0.2.2/32", 2, 2}, // the first has taken nothing from it
		{0, "2001:db8::/64", 1000, 40},
		{0, "2001:db8:0:1::/64", 1000, 40},
		{100 * time.Millisecond, "192.0.2.1/32", 1000, 4},
		{time.Minute, "192.0.2.1/32", 1000, 40}, // no more for having waited
		{-time.Minute, "192.0.2.1/32", 1000, 0},
		{time.Minute, "", 1000, 360}, // all the rest
		{0, "192.0.2.3/32", 1000, 0},
		{time.Second, "192.0.2.3/32", 1000, 40},
		{0, "", 1000, 160},
	} {
		now = now.Add(step.after)
		var source netip.Prefix
		if step.source != "" {
			source = netip.MustParsePrefix(step.source)
		}
		got := 0
		for range step.asks {
			if s.take(source, now) {
				got++
			}
		}
		if got != step.want {
			t.Errorf("step %d: %q gets %d, want %d", i, step.source, got, step.want)
		}
	}
}

// TestSourcesAreForgotten: a network of addresses, each of which asks once or goes on asking, takes little memory, and none when it is gone.
func TestSourcesAreForgotten(t *testing.T) {
	const most = 810
	now := time.Unix(1000, 0)
	s := newSources(now)
	held := 0
	for n := range 200_000 {
		now = now.Add(50 * time.Microsecond) // 20,000 ask each second, for ten
		s.take(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32), now)
		s.take(netip.PrefixFrom(netip.AddrFrom4([4]byte{11, 0, 0, byte(n)}), 32), now)
		held = max(held, len(s.of))
	}
	if held > most || held < 200 {
		t.Errorf("%d sources are held, want 200 to %d", held, most)
	}
	honest := netip.MustParsePrefix("192.0.2.1/32")
	if !s.take(honest, now.Add(sourceRefill)) {
		t.Error("nothing is left after the flood")
	}
	want := []netip.Prefix{honest}
	var got []netip.Prefix
	for source := range s.of {
		got = append(got, source)
	}
	if !cmp.Equal(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })) {
		t.Errorf("held are %v, want %v", got, want)
	}
}
