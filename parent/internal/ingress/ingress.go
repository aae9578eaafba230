// Package ingress lets clients on TCP reach a port of the enclave.
package ingress

import (
	"context"
	"net"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/forward"
	"github.com/unforeseen-consequences/containment-chamber/shared/pipe"
	"github.com/unforeseen-consequences/containment-chamber/shared/proxyproto"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// Entrance is one way in.
type Entrance struct {
	Name   string // "api", "health", "metrics"
	Listen string // TCP address, HOST:PORT
	Port   uint32 // the enclave's vsock port
	// ProxyProtocol tells the enclave the address of each client, for its logs.
	ProxyProtocol bool
}

// New prepares the TCP listener of one entrance. While the enclave does not listen, connections are closed at once.
func New(e Entrance, network vsock.Network, cid uint32, limits forward.Limits, log *zap.Logger, metrics *forward.Metrics) *forward.Forwarder {
	target := forward.Target{Dial: func(ctx context.Context) (pipe.Conn, error) { return network.Dial(ctx, cid, e.Port) }}
	if e.ProxyProtocol {
		target.Preface = introduce
	}
	return forward.New(accept.Config{
		Name:   "ingress/" + e.Name,
		Listen: func() (net.Listener, error) { return accept.ListenTCP(e.Listen) },
	}, limits, target, log, metrics)
}

// introduce tells who a client is.
func introduce(client pipe.Conn) ([]byte, error) {
	from, _ := client.RemoteAddr().(*net.TCPAddr)
	to, _ := client.LocalAddr().(*net.TCPAddr)
	return proxyproto.Append(nil, from.AddrPort(), to.AddrPort()), nil // of nil an invalid one
}
