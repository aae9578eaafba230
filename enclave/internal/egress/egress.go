// Package egress dials everything that the signer reaches outside.
package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// Dialer connects to the endpoints of the route table, through the parent, and to nothing else. It is safe for concurrent use.
type Dialer struct {
	table   table
	network vsock.Network
	limits  Limits
	counts  counts
}

// Limits bound each route on this side as the parent bounds it on the other.
type Limits struct {
	// MaxConnections is how many connections live at a time, those that are being dialled among them.
	MaxConnections int
	// ConnectTimeout bounds a dial to the parent, whatever the caller's context says.
	ConnectTimeout time.Duration
	// IdleTimeout ends a forwarded connection through which nothing passed in either direction. 0: no limit.
	IdleTimeout time.Duration
	// HalfOpenTimeout does so once one direction has ended. 0: no limit of its own.
	HalfOpenTimeout time.Duration
}

// endpoint is a host as its route names it, lower case and without a final dot, and a port.
type endpoint struct {
	host string
	port uint16
}

func (e endpoint) String() string { return net.JoinHostPort(e.host, strconv.Itoa(int(e.port))) }

// New makes a dialer that goes to the parent, [vsock.CIDParent], on the port of the route, and nowhere else.
// A table in which a name, an endpoint or a vsock port stands twice is an error.
func New(routes []wire.Route, network vsock.Network, limits Limits, r prometheus.Registerer) (*Dialer, error) {
	t, err := newTable(routes, limits.MaxConnections)
	if err != nil {
		return nil, fmt.Errorf("egress routes: %w", err)
	}
	names := make([]string, len(routes))
	for i, route := range routes {
		names[i] = route.Name
	}
	counts, err := newCounts(r, names...)
	if err != nil {
		return nil, err
	}
	return &Dialer{table: t, network: network, limits: limits, counts: counts}, nil
}

// DialContext connects to address, "host:port" with a port in digits; network is tcp, tcp4 or tcp6. Names are not
// resolved here but looked up in the route table as they are; one without a route gives a [*NoRouteError], a route that has all the
// connections it may have a [*FullError].
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		d.counts.refused.Inc()
		return nil, fmt.Errorf("egress to %q: network %q is not TCP", address, network)
	}
	to, err := parseEndpoint(address)
	if err != nil {
		d.counts.refused.Inc()
		return nil, fmt.Errorf("egress: %w", err)
	}
	route, ok := d.table.routes[to]
	if !ok {
		d.counts.refused.Inc()
		return nil, &NoRouteError{Host: to.host, Port: to.port, known: d.table.known}
	}
	c, err := d.dial(ctx, route)
	if err != nil {
		return nil, err // and not a Conn that holds a nil
	}
	return c, nil
}

// dial connects to a route's port of the parent, if the route may have one more connection.
func (d *Dialer) dial(ctx context.Context, r *route) (*conn, error) {
	select {
	case r.slots <- struct{}{}:
	default:
		d.counts.dials.WithLabelValues(r.Name, string(full)).Inc()
		return nil, &FullError{Route: r.Name, Limit: d.limits.MaxConnections}
	}
	ctx, cancel := context.WithTimeout(ctx, d.limits.ConnectTimeout)
	defer cancel()
	c, err := d.network.Dial(ctx, vsock.CIDParent, r.VsockPort)
	d.counts.dialed(r.Name, err)
	if err != nil {
		<-r.slots
		return nil, fmt.Errorf("egress route %s to %v: %w", r.Name, r.to, err)
	}
	return &conn{Conn: c, slots: r.slots}, nil
}

func parseEndpoint(address string) (endpoint, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return endpoint{}, fmt.Errorf("address %q is not host:port", address)
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil || p == 0 {
		return endpoint{}, fmt.Errorf("address %q: port %q is not a number from 1 to 65535", address, port)
	}
	host = canonicalHost(host)
	if host == "" {
		return endpoint{}, fmt.Errorf("address %q names no host", address)
	}
	return endpoint{host: host, port: uint16(p)}, nil
}

// canonicalHost is the one way in which a host is compared: names do not know case (RFC 4343), addresses have many spellings.
func canonicalHost(host string) string {
	host = strings.TrimRight(host, ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return strings.ToLower(host)
}
