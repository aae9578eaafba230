package resolve

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// NoTTL is the time to live of an answer that told none: of a hosts file, or over TCP.
const NoTTL time.Duration = -1

// Answer is what a name stands for, and for how long.
type Answer struct {
	// Addresses are never empty, the best first (RFC 6724).
	Addresses []netip.Addr
	// TTL is the shortest of the records that led to them, or [NoTTL].
	TTL time.Duration
}

// LookupFunc asks for the addresses of a host name.
type LookupFunc func(ctx context.Context, host string) (Answer, error)

// Lookup asks as this system is configured: /etc/hosts, the name servers and search domains of /etc/resolv.conf. It is Go's own
// resolver, which tells no time to live; that is read from the answers as they pass.
func Lookup(ctx context.Context, host string) (Answer, error) {
	return lookup(ctx, host, configured)
}

// lookup asks another name server than the configured one if at says so.
func lookup(ctx context.Context, host string, at func(server string) string) (Answer, error) {
	var shortest ttl
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, server string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, at(server))
		if udp, ok := c.(*net.UDPConn); ok && err == nil {
			return &listener{UDPConn: udp, shortest: &shortest}, nil
		}
		return c, err
	}}
	addresses, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return Answer{}, err // names the host
	}
	for i, a := range addresses {
		addresses[i] = a.Unmap()
	}
	return Answer{Addresses: addresses, TTL: shortest.get()}, nil
}

// listener reads the answers along with their receiver.
type listener struct {
	*net.UDPConn // the resolver speaks datagrams to what is a PacketConn
	shortest     *ttl
}

func (l *listener) Read(b []byte) (int, error) {
	n, err := l.UDPConn.Read(b)
	if err == nil {
		l.shortest.read(b[:n])
	}
	return n, err
}

// ttl is the shortest time to live seen; the two questions for A and AAAA are asked at once.
type ttl struct {
	mu      sync.Mutex
	seconds uint32
	seen    bool
}

// read takes in a DNS message (RFC 1035 §4). One that is none is the resolver's to complain of.
func (t *ttl) read(message []byte) {
	var p dnsmessage.Parser
	if _, err := p.Start(message); err != nil || p.SkipAllQuestions() != nil {
		return
	}
	for {
		h, err := p.AnswerHeader()
		if err != nil {
			return
		}
		switch h.Type { //nolint:exhaustive // records of other types lead to no address
		case dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeCNAME:
			t.add(h.TTL)
		}
		if p.SkipAnswer() != nil {
			return
		}
	}
}

func (t *ttl) add(seconds uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.seen || seconds < t.seconds {
		t.seconds, t.seen = seconds, true
	}
}

func (t *ttl) get() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.seen {
		return NoTTL
	}
	return time.Duration(t.seconds) * time.Second
}
