package egress

import (
	"context"
	"net"
	"time"
)

// DialFunc connects to an address, "host:port" or with network unix the path of a socket. A Dialer's DialContext is one.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// keepAlive finds a server that is gone without a word in about half a minute: a database connection may rest for as long as
// nobody signs.
const keepAlive = 10 * time.Second

// Direct dials without a route table, with a resolver that Lockdown leaves alone. It is for a process that is no enclave: the
// program for enclave images does not name it.
func Direct() DialFunc {
	d := &net.Dialer{
		Resolver:        new(net.Resolver),
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive, Count: 2},
	}
	return d.DialContext
}
