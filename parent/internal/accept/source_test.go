package accept

import (
	"net"
	"testing"
)

// from is a connection of a client address.
type from struct {
	net.Conn
	address string
}

func (f from) RemoteAddr() net.Addr {
	if f.address == "" {
		return &net.UnixAddr{Name: "@", Net: "unix"}
	}
	a, _ := net.ResolveTCPAddr("tcp", f.address)
	return a
}

func TestSources(t *testing.T) {
	var s sources
	in := func(address string, want bool) {
		t.Helper()
		if got := s.enter(from{address: address}, 2); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	in("192.0.2.1:1", true)
	in("[::ffff:192.0.2.1]:2", true) // the same client through a socket of both families
	in("192.0.2.1:3", false)
	in("192.0.2.2:1", true)
	in("[2001:db8::1]:1", true)
	in("[2001:db8::ffff:1]:1", true) // one host has a /64
	in("[2001:db8::2]:1", false)
	in("[2001:db8:0:1::1]:1", true)
	in("", true)
	in("", true)
	in("", true)
	s.leave(from{address: "192.0.2.1:2"})
	in("192.0.2.1:4", true)
	in("192.0.2.1:5", false)
	for range 2 {
		s.leave(from{address: "192.0.2.1:1"})
		s.leave(from{address: "[2001:db8::1]:1"})
		s.leave(from{address: ""})
	}
	s.leave(from{address: "192.0.2.2:1"})
	s.leave(from{address: "[2001:db8:0:1::1]:1"})
	if len(s.active) != 0 {
		t.Errorf("%v is left when all have gone", s.active)
	}
	if !s.enter(from{address: "192.0.2.1:1"}, 0) || len(s.active) != 0 {
		t.Error("without a limit a source is counted")
	}
}
