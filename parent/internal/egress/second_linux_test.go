package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// silent is an address that does not answer: a listener whose queue is full, so that the kernel drops what else comes.
func silent(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 9}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), uint16(name.(*syscall.SockaddrInet4).Port))
	for range 8 {
		c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.9", strconv.Itoa(int(to.Port()))), 200*time.Millisecond)
		if err != nil {
			return to
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the queue never fills")
	return to
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

// TestNotAllOfAnAnswer: of a thousand addresses one connection tries a few, of both families.
func TestNotAllOfAnAnswer(t *testing.T) {
	port := upper(t)
	among := func(good int) []netip.AddrPort { // all but one refuse
		all := make([]netip.AddrPort, 1000)
		for i := range all {
			all[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), port)
		}
		all[good] = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
		return all
	}
	c, err := dialTCP(t.Context(), among(mostTried-1))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if c, err := dialTCP(t.Context(), among(mostTried)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the address behind the last one to try: %v, %v", c, err)
	}
	both := slices.Repeat([]netip.AddrPort{netip.AddrPortFrom(netip.IPv6Loopback(), port)}, 2*mostTried)
	if c, err := dialTCP(t.Context(), append(both, among(0)[0])); err != nil {
		t.Errorf("the other family has no turn: %v", err)
	} else {
		_ = c.Close()
	}
}
