// Package intake stores the keys of keystores that come from outside.
package intake

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// Intake opens keystores within the memory that all key derivations of the process share. It is safe for concurrent use: one import at a time
// is at work, on half of the CPUs, because the process signs meanwhile.
type Intake struct {
	source  *stored.Source
	decrypt func(ctx context.Context, text, password []byte) (*bls.SecretKey, error)
	turn    chan struct{} // holds one element while an import is at work
}

// New makes an intake for a source.
func New(source *stored.Source, memory *filesystem.KDFMemory) *Intake {
	return &Intake{
		source: source, turn: make(chan struct{}, 1),
		decrypt: func(ctx context.Context, text, password []byte) (*bls.SecretKey, error) {
			return filesystem.OpenKeystore(ctx, memory, text, password)
		},
	}
}

// Import stores the keys of EIP-2335 keystores as active ones, each for itself, and tells of each, once and in their order, what became of it:
// its public key if it was opened, and whether it was stored before, or why it was not stored. There are as many passwords. It waits for its
// turn until ctx ends.
func (i *Intake) Import(ctx context.Context, keystores, passwords []string, tell func(n int, publicKey string, duplicate bool, err error)) {
	select {
	case i.turn <- struct{}{}:
		defer func() { <-i.turn }()
	case <-ctx.Done():
		for n := range keystores {
			tell(n, "", false, fmt.Errorf("wait for another import: %w", context.Cause(ctx)))
		}
		return
	}
	opened, faults := i.open(ctx, keystores, passwords)
	var keys []stored.Key
	for _, secret := range opened {
		if secret != nil {
			defer secret.Wipe()
			keys = append(keys, stored.Key{Secret: secret, Status: store.Active})
		}
	}
	results := i.source.Import(ctx, keys)
	for n, secret := range opened {
		if secret == nil {
			tell(n, "", false, faults[n])
			continue
		}
		r := results[0]
		results = results[1:]
		tell(n, r.PublicKey.String(), r.Outcome == stored.Duplicate, r.Err)
	}
}

// open decrypts keystores, half as many at once as there are CPUs. A key is nil where there is an error.
func (i *Intake) open(ctx context.Context, keystores, passwords []string) ([]*bls.SecretKey, []error) {
	keys, faults := make([]*bls.SecretKey, len(keystores)), make([]error, len(keystores))
	next := make(chan int)
	var opening sync.WaitGroup
	for range min(max(1, runtime.GOMAXPROCS(0)/2), len(keystores)) {
		opening.Go(func() {
			for n := range next {
				password := []byte(passwords[n])
				keys[n], faults[n] = i.decrypt(ctx, []byte(keystores[n]), password)
				clear(password)
			}
		})
	}
	for n := range keystores {
		next <- n
	}
	close(next)
	opening.Wait()
	return keys, faults
}
