package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// Platform is where the signer runs. It is composed by the commands, so that what must not be in an enclave image
// is not linked into it: a switch at run time could be thrown by an attacker, a missing function cannot.
type Platform struct {
	// Name is the value of tee.platform.
	Name string
	// TEE is nil on platform none.
	TEE *TEE
	// Direct reaches servers where there is no enclave; nil in one, whose only way out is the route table.
	Direct egress.DialFunc
	// Stores are the slashing stores of this binary, by the value of anti_slashing.backend, unless TEE makes them.
	Stores map[string]OpenStore
}

// TEE is an enclave, real or simulated.
type TEE struct {
	// Network reaches the parent.
	Network vsock.Network
	// OpenNSM opens the security module, and says under which roots its documents stand; nil roots are AWS's.
	OpenNSM func() (nsm.Session, []*x509.Certificate, error)
	// Stores makes the slashing stores of this binary, which find AWS credentials by find: those that the parent relays.
	Stores func(find Credentials) map[string]OpenStore
	// Host says that this is a real enclave, whose kernel, loopback device and entropy are ours to set up.
	Host bool
}

// OpenStore opens a slashing store, which reaches its server by dial alone.
type OpenStore func(ctx context.Context, c config.AntiSlashing, dial egress.DialFunc) (slashing.Store, error)

// Nitro is a real enclave.
func Nitro(stores func(find Credentials) map[string]OpenStore) Platform {
	return Platform{
		Name: "nitro",
		TEE: &TEE{
			Network: vsock.Kernel{},
			Stores:  stores,
			OpenNSM: func() (nsm.Session, []*x509.Certificate, error) {
				s, err := nsm.Open()
				return s, nil, err
			},
			Host: true,
		},
	}
}

// openStore opens the configured store, or says which ones this binary has.
func (p Platform) openStore(ctx context.Context, c config.AntiSlashing, dial egress.DialFunc, relayed Credentials) (slashing.Store, error) {
	stores := p.Stores
	if p.TEE != nil && p.TEE.Stores != nil {
		stores = p.TEE.Stores(relayed)
	}
	open, ok := stores[c.Backend]
	if !ok {
		has := "none"
		if len(stores) > 0 {
			has = strings.Join(slices.Sorted(maps.Keys(stores)), ", ")
		}
		return nil, fmt.Errorf("anti_slashing.backend: this binary has no %s store (it has: %s)", c.Backend, has)
	}
	return open(ctx, c, dial)
}
