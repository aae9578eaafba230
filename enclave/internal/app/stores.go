package app

import (
	"context"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
)

// dial is the way out: the route table in an enclave, elsewhere the network.
func (s *signer) dial() egress.DialFunc {
	if s.options.Platform.TEE != nil {
		return s.dialer.DialContext
	}
	return s.options.Platform.Direct
}

// Postgres is the OpenStore of anti_slashing.backend postgres.
func Postgres(ctx context.Context, c config.AntiSlashing, dial egress.DialFunc) (slashing.Store, error) {
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
