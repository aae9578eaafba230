// Package egress lets the enclave reach the endpoints of the route table.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/forward"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/resolve"
	"github.com/unforeseen-consequences/containment-chamber/shared/pipe"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// Config is what all routes have in common.
type Config struct {
	Network vsock.Network
	CID     uint32 // the enclave's; no other peer is admitted
	Limits  forward.Limits
	// AllowLoopback permits targets on this host.
	AllowLoopback bool
	// Lookup finds the addresses of a host; resolve.Lookup.
	Lookup resolve.LookupFunc
}

// Metrics are what routes count.
type Metrics struct {
	Forward *forward.Metrics
	Names   *resolve.Metrics
}

// Route is the listener of one entry of the route table: what the enclave, and nobody else, sends to the route's vsock port goes to the
// route's host and port, and nowhere else. Unless the route is plain, it is TLS, and names that host in its ClientHello.
type Route struct {
	*forward.Forwarder
	route wire.Route
	cfg   Config
	name  *resolve.Name
}

// New prepares a route.
func New(cfg Config, route wire.Route, log *zap.Logger, metrics Metrics) *Route {
	listener := "egress/" + route.Name
	r := &Route{route: route, cfg: cfg, name: resolve.New(route.Host, cfg.lookup, log.With(zap.String("listener", listener)), metrics.Names.For(listener))}
	target := forward.Target{Dial: r.dial}
	if !route.Plain {
		target.Preface = r.hello
	}
	r.Forwarder = forward.New(accept.Config{
		Name:   listener,
		Listen: func() (net.Listener, error) { return cfg.Network.Listen(route.VsockPort) },
		Check:  func(c net.Conn) error { return vsock.CheckPeer(c, cfg.CID) },
	}, cfg.Limits, target, log, metrics.Forward)
	return r
}

// Run forwards as [forward.Forwarder.Run] does, and keeps the host's addresses fresh meanwhile.
func (r *Route) Run(ctx, cut context.Context) error {
	looking, stop := context.WithCancel(ctx)
	var looker sync.WaitGroup
	looker.Go(func() { r.name.Run(looking) })
	err := r.Forwarder.Run(ctx, cut)
	stop()
	looker.Wait()
	return err
}

// lookup finds the addresses that a route may lead to. An answer without any is none, so that a name server that lies for a while changes
// nothing: the last good addresses are kept, and it is asked again soon, whatever time to live it told.
func (c Config) lookup(ctx context.Context, host string) (resolve.Answer, error) {
	answer, err := c.Lookup(ctx, host)
	if err != nil {
		return resolve.Answer{}, err
	}
	answer.Addresses, err = permittedOf(answer.Addresses, host, c.AllowLoopback)
	return answer, err
}

// hello reads what a client says first, and refuses one that means another host.
func (r *Route) hello(client pipe.Conn) ([]byte, error) {
	read, name, err := helloOf(client)
	if _, plain := errors.AsType[notTLSError](err); plain {
		return nil, forward.Refuse(forward.NotTLS, err)
	}
	if err != nil {
		return nil, forward.Refuse(forward.NoHello, err)
	}
	if !matches(name, r.route.Host) {
		return nil, forward.Refuse(forward.ServerName, fmt.Errorf("the ClientHello names %.80q, the route leads to %s", name, r.route.Host))
	}
	return read, nil
}

// dial connects to one of the host's addresses.
func (r *Route) dial(ctx context.Context) (pipe.Conn, error) {
	addresses, err := r.name.Addresses(ctx)
	if err != nil {
		return nil, err
	}
	// Once more, because an address that stands for itself was not looked up.
	permitted, err := permittedOf(addresses, r.route.Host, r.cfg.AllowLoopback)
	if err != nil {
		return nil, err
	}
	to := make([]netip.AddrPort, len(permitted))
	for i, a := range permitted {
		to[i] = netip.AddrPortFrom(a, r.route.Port)
	}
	c, err := dialTCP(ctx, to)
	if err != nil {
		r.name.Hurry()
		return nil, err // names the address
	}
	return c, nil
}
