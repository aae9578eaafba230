// Package egress lets the enclave reach the endpoints of the route table.
package egress

import (
	"context"
	"net"
	"strconv"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/forward"
	"github.com/unforeseen-consequences/containment-chamber/shared/pipe"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// New prepares the listener of one route: what the enclave, and nobody else (cid), sends to the route's vsock port
// goes to the route's host and port, and nowhere else. All addresses of the host are tried.
func New(network vsock.Network, cid uint32, route wire.Route, limits forward.Limits, log *zap.Logger, metrics *forward.Metrics) *forward.Forwarder {
	target := net.JoinHostPort(route.Host, strconv.Itoa(int(route.Port)))
	dial := func(ctx context.Context) (pipe.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", target)
		if err != nil {
			return nil, err // names the target
		}
		return c.(*net.TCPConn), nil
	}
	return forward.New(accept.Config{
		Name:   "egress/" + route.Name,
		Listen: func() (net.Listener, error) { return network.Listen(route.VsockPort) },
		Check:  func(c net.Conn) error { return vsock.CheckPeer(c, cid) },
	}, limits, dial, log, metrics)
}
