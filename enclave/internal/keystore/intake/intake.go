// Package intake adds the keys of keystores that come from outside.
package intake

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
)

// Intake opens keystores within the memory that all key derivations of the process share. It is safe for concurrent use: the
// keystores of one import at a time are opened, on half of the CPUs, because the process signs meanwhile.
type Intake struct {
	source  *stored.Source
	decrypt func(ctx context.Context, text, password []byte) (*bls.SecretKey, error)
	turn    chan struct{} // holds one element while keystores are opened
}

// maxKeystore is the most bytes of a keystore; usual ones have less than one KiB.
const maxKeystore = 64 << 10

// New makes an intake for a source, which is nil if nothing is stored.
func New(source *stored.Source, memory *filesystem.KDFMemory) *Intake {
	return &Intake{
		source: source, turn: make(chan struct{}, 1),
		decrypt: func(ctx context.Context, text, password []byte) (*bls.SecretKey, error) {
			return filesystem.OpenKeystore(ctx, memory, text, password)
		},
	}
}

// open decrypts keystores, half as many at once as there are CPUs, when it is their turn. A key is nil where there is an error. The passwords are
// wiped.
func (i *Intake) open(ctx context.Context, keystores, passwords [][]byte) ([]*bls.SecretKey, []error) {
	defer func() {
		for _, password := range passwords {
			clear(password)
		}
	}()
	keys, faults := make([]*bls.SecretKey, len(keystores)), make([]error, len(keystores))
	select {
	case i.turn <- struct{}{}:
		defer func() { <-i.turn }()
	case <-ctx.Done():
		for n := range faults {
			faults[n] = fmt.Errorf("wait for another import: %w", ctx.Err())
		}
		return keys, faults
	}
	next := make(chan int)
	var opening sync.WaitGroup
	for range min(max(1, runtime.GOMAXPROCS(0)/2), len(keystores)) {
		opening.Go(func() {
			for n := range next {
				keys[n], faults[n] = i.openOne(ctx, keystores[n], passwords[n])
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

func (i *Intake) openOne(ctx context.Context, keystore, password []byte) (*bls.SecretKey, error) {
	if len(keystore) > maxKeystore {
		return nil, fmt.Errorf("the keystore has %d bytes, the limit is %d", len(keystore), maxKeystore)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open the keystore: %w", err)
	}
	return i.decrypt(ctx, keystore, password)
}
