package slashing

import (
	"errors"
	"sync/atomic"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

var (
	// ErrNoPermit is returned for the zero Permit.
	ErrNoPermit = errors.New("empty permit")
	// ErrPermitOfAnotherKey is returned to a key that the permit is not for.
	ErrPermitOfAnotherKey = errors.New("permit of another key")
	// ErrPermitUsed is returned for a permit that was redeemed before.
	ErrPermitUsed = errors.New("permit already used")
)

// Permit allows one signature by one key over one root. Only Guard makes one; the zero Permit allows nothing.
type Permit struct {
	key  bls.PublicKey
	root eth2.Root
	used *atomic.Bool // shared by copies
}

func newPermit(key bls.PublicKey, root eth2.Root) Permit {
	return Permit{key: key, root: root, used: new(atomic.Bool)}
}

// Redeem returns the root to sign, once, and only to the key that the permit is for.
func (p Permit) Redeem(key bls.PublicKey) (eth2.Root, error) {
	switch {
	case p.used == nil:
		return eth2.Root{}, ErrNoPermit
	case p.key != key:
		return eth2.Root{}, ErrPermitOfAnotherKey
	case p.used.Swap(true):
		return eth2.Root{}, ErrPermitUsed
	}
	return p.root, nil
}
