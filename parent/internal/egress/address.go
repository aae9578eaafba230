package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/forward"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/resolve"
	"github.com/unforeseen-consequences/containment-chamber/shared/pipe"
)

// hostServices are the addresses with a purpose in an enclave that a route must name literally: the EKS Pod Identity agent
// (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html) and the instance metadata service
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html).
var hostServices = []netip.Addr{ //nolint:gochecknoglobals // constant; Go has no constant lists
	netip.MustParseAddr("169.254.170.23"),
	netip.MustParseAddr("fd00:ec2::23"),
	netip.MustParseAddr("169.254.169.254"),
	netip.MustParseAddr("fd00:ec2::254"),
}

var (
	// servicesOfEC2 holds what EC2 offers each instance on IPv6, as 169.254.0.0/16 does on IPv4: the two above, time, names.
	servicesOfEC2 = netip.MustParsePrefix("fd00:ec2::/32") //nolint:gochecknoglobals // constant
	// nat64 holds the addresses that stand for IPv4 ones behind a translator (RFC 6052 §2.1).
	nat64 = netip.MustParsePrefix("64:ff9b::/96") //nolint:gochecknoglobals // constant
)

// permit refuses what is on this host or its link: a name server that lies must not turn the parent into a door to the host's own
// services. Loopback is permitted where enclave and services share a laptop.
func permit(a netip.Addr, host string, loopback bool) error {
	literal, err := netip.ParseAddr(host)
	written := err == nil && literal.Unmap() == a.Unmap()
	meant := meaning(a)
	switch {
	case meant.IsLoopback() && loopback:
		return nil
	case written && slices.Contains(hostServices, a.Unmap()):
		return nil
	case meant.IsLoopback(), meant.IsUnspecified(), meant.IsLinkLocalUnicast(), meant.IsMulticast(), servicesOfEC2.Contains(meant),
		meant == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%w: %s of %s is on this host or its link", forward.ErrForbidden, a, host)
	}
	return nil
}

// meaning is the address that connections to a reach in the end: the IPv4 address in it, if it is mapped or translated.
func meaning(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		all := a.As16()
		return netip.AddrFrom4([4]byte(all[12:]))
	}
	return a
}

// permittedOf are those of a host's addresses that are permitted, never none. The error, if there is none, is that of the last one.
func permittedOf(addresses []netip.Addr, host string, loopback bool) (permitted []netip.Addr, err error) {
	err = fmt.Errorf("look up %s: %w", host, resolve.ErrNoAddress)
	for _, a := range addresses {
		if err = permit(a, host, loopback); err == nil {
			permitted = append(permitted, a)
		}
	}
	if len(permitted) > 0 {
		return permitted, nil
	}
	return nil, err
}

// mostTried is how many of a host's addresses are tried for one connection: what a name server answers at length must not become as many
// connections.
const mostTried = 8

// keepAlive is after how long a silent peer is asked whether it is there, and how often: Go's default.
const keepAlive = 15 * time.Second

// headStart is how long one address is tried alone (RFC 8305 §5, Connection Attempt Delay).
const headStart = 250 * time.Millisecond

// dialTCP connects to the first of the addresses, [mostTried] at most, that answers. Families take turns; the next is tried when the one before failed, or after
// its head start. The error is that of the first address that failed.
func dialTCP(ctx context.Context, addresses []netip.AddrPort) (pipe.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	waiting, running := takeTurns(addresses), 0
	waiting = waiting[:min(len(waiting), mostTried)]
	results := make(chan result, len(waiting))
	next := func() {
		to := waiting[0].String()
		waiting, running = waiting[1:], running+1
		go func() {
			c, err := (&net.Dialer{KeepAlive: keepAlive}).DialContext(ctx, "tcp", to)
			results <- result{c, err}
		}()
	}
	defer func() {
		cancel()
		for range running { // they end with ctx
			if r := <-results; r.conn != nil {
				_ = r.conn.Close()
			}
		}
	}()
	next()
	timer := time.NewTimer(headStart)
	defer timer.Stop()
	var first error
	for {
		var r result
		select {
		case r = <-results:
			running--
		case <-timer.C:
			if len(waiting) > 0 {
				next()
				timer.Reset(headStart)
			}
			continue
		}
		if r.err == nil {
			return r.conn.(*net.TCPConn), nil
		}
		if first == nil {
			first = r.err
		}
		if len(waiting) > 0 {
			next()
			timer.Reset(headStart)
		} else if running == 0 {
			return nil, first
		}
	}
}

// takeTurns orders addresses so that families alternate, beginning with the first one's (RFC 8305 §4).
func takeTurns(addresses []netip.AddrPort) []netip.AddrPort {
	var same, other []netip.AddrPort
	for _, a := range addresses {
		if a.Addr().Is4() == addresses[0].Addr().Is4() {
			same = append(same, a)
		} else {
			other = append(other, a)
		}
	}
	turns := make([]netip.AddrPort, 0, len(addresses))
	for i := range max(len(same), len(other)) {
		turns = append(turns, same[min(i, len(same)):min(i+1, len(same))]...)
		turns = append(turns, other[min(i, len(other)):min(i+1, len(other))]...)
	}
	return turns
}
