package app

import (
	"context"
	"net"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
)

// Dial connects to an address, "host:port" or the path of a unix socket.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// keepAlive finds a server that is gone without a word in about half a minute: a database connection may rest for as long as
// nobody signs.
const keepAlive = 10 * time.Second

// dial is the way out: the route table in an enclave, elsewhere the network.
func (s *signer) dial() Dial {
	if s.dialer != nil {
		return s.dialer.DialContext
	}
	return Direct()
}

// Direct dials without an enclave's route table, with a resolver that egress.Lockdown leaves alone.
func Direct() Dial {
	d := &net.Dialer{
		Resolver:        new(net.Resolver),
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive, Count: 2},
	}
	return d.DialContext
}

// Postgres is the OpenStore of anti_slashing.backend postgres.
func Postgres(ctx context.Context, c config.AntiSlashing, dial Dial) (slashing.Store, error) {
	cas, err := c.CAs()
	if err != nil {
		return nil, err
	}
	s, err := postgres.Open(ctx, postgres.Options{
		URL: c.URL, CAs: cas, Dial: dial, ForceIPv4: c.ForceIPv4, PoolSize: c.PoolSize, Timeout: c.WriteTimeout, CheckOnly: c.Migrate == "check",
	})
	if err != nil {
		return nil, err // and not a Store that holds a nil
	}
	return s, nil
}
