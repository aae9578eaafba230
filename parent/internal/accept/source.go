package accept

import (
	"net"
	"net/netip"
	"sync"
)

// sources count the connections of each client address. The zero value counts none.
type sources struct {
	mu     sync.Mutex // held while active is read or changed
	active map[netip.Prefix]int
}

// enter counts a connection, unless its source has most already. 0 is no limit, and a connection without an IP address has none.
func (s *sources) enter(c net.Conn, most int) bool {
	from := sourceOf(c)
	if most == 0 || !from.IsValid() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active[from] >= most {
		return false
	}
	if s.active == nil {
		s.active = make(map[netip.Prefix]int)
	}
	s.active[from]++
	return true
}

func (s *sources) leave(c net.Conn) {
	from := sourceOf(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active[from] > 1 {
		s.active[from]--
	} else {
		delete(s.active, from)
	}
}

// sourceOf is whom a connection comes from: an IPv4 address, or the /64 that one host of IPv6 has to itself.
func sourceOf(c net.Conn) netip.Prefix {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	from := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if from.Is4() {
		bits = 32
	}
	prefix, err := from.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
