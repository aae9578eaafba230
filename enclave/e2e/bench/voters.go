package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// voters ask a guard for permits to sign attestations, and sign nothing. Each key's targets rise.
type voters struct {
	guard *slashing.Guard
	chain chain
	keys  []bls.PublicKey
	epoch uint64 // the next target that no key has voted for
	turn  int    // of the key that votes next alone
}

// enrolled is how many keys make their first votes in one write.
const enrolled = 10_000

// enrol lets each key vote once, in no order: the first vote of a key makes its record, all others change it.
func (v *voters) enrol(ctx context.Context, n int) error {
	random := rand.NewChaCha8([32]byte{1})
	v.keys, v.epoch = make([]bls.PublicKey, n), firstEpoch
	for i := range v.keys {
		_, _ = random.Read(v.keys[i][:]) // never fails
	}
	request := v.chain.vote(v.epoch, 0)
	v.epoch++
	for rest := v.keys; len(rest) > 0; rest = rest[min(enrolled, len(rest)):] {
		_, errs := v.guard.PermitAll(ctx, rest[:min(enrolled, len(rest))], request)
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("first votes: %w", err)
		}
	}
	return nil
}

// crowd has callers record n votes each, one after the other, and returns how long it took until the last was recorded.
func (v *voters) crowd(ctx context.Context, callers, n int) (time.Duration, error) {
	requests := make([]*eth2.AttestationRequest, n)
	for i := range requests {
		requests[i] = v.chain.vote(v.epoch+uint64(i), 0)
	}
	v.epoch += uint64(n)
	failures := make([]error, callers)
	var wg sync.WaitGroup
	began := time.Now()
	for caller := range callers {
		wg.Go(func() {
			for i, request := range requests {
				if _, failures[caller] = v.guard.Permit(ctx, v.key(caller, callers, i), request); failures[caller] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began), errors.Join(failures...)
}

// key is the one of a caller's i-th vote. Every callers-th key is the caller's alone, so that nobody is overtaken by a higher vote.
func (v *voters) key(caller, callers, i int) bls.PublicKey {
	own := (len(v.keys) - caller + callers - 1) / callers
	return v.keys[caller+i%own*callers]
}

// alone records one vote, and returns how long it took.
func (v *voters) alone(ctx context.Context) (time.Duration, error) {
	request := v.chain.vote(v.epoch, 0)
	key := v.keys[v.turn]
	if v.turn++; v.turn == len(v.keys) {
		v.turn = 0
	}
	v.epoch++
	began := time.Now()
	_, err := v.guard.Permit(ctx, key, request)
	return time.Since(began), err
}
