package signing

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// SignAll signs one request with the key of each grant. For each, in order, it returns a signature, or in refusals the error that
// Sign would have returned, or a problem.Overloaded once ctx has ended. The batch takes one slot, its votes share a write, its
// message is hashed once, and it is signed on all CPUs. An error speaks for the whole batch: a problem.Forbidden, Sealed or
// Overloaded before anything was recorded.
func (s *Signer) SignAll(ctx context.Context, grants []auth.Grant, req eth2.Request) (signatures []bls.Signature, refusals []error, err error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	if err := s.check(req); err != nil {
		return nil, nil, err
	}
	b := s.gather(grants, req)
	permits, errs := s.guard.PermitAll(ctx, b.public, req) // from here the votes may be on record, whatever we return
	parallel(len(b.keys), func(i int) {
		at := b.at[i]
		if b.refusals[at] = errs[i]; errs[i] == nil {
			b.signatures[at], b.refusals[at] = s.redeemInTurn(ctx, b.keys[i], permits[i], req)
		}
	})
	return b.signatures, b.refusals, nil
}

// redeemInTurn is redeem among all batches. It does not work for a caller that is gone, who may ask for the same again.
func (s *Signer) redeemInTurn(ctx context.Context, key *keystore.Key, permit slashing.Permit, req eth2.Request) (bls.Signature, error) {
	s.batched <- struct{}{}
	defer func() { <-s.batched }()
	if ctx.Err() != nil {
		return bls.Signature{}, problem.Wrap(problem.Overloaded, ctx.Err(), "the request ended before this key had signed")
	}
	return s.redeem(key, permit, req)
}

// batch holds the results of all grants, and of those grants that have a key: that key, and where its result stands.
type batch struct {
	signatures []bls.Signature
	refusals   []error

	at     []int
	keys   []*keystore.Key
	public []bls.PublicKey
}

// gather looks all keys up before anything is written, so that nothing is recorded for a key we do not hold.
func (s *Signer) gather(grants []auth.Grant, req eth2.Request) batch {
	b := batch{signatures: make([]bls.Signature, len(grants)), refusals: make([]error, len(grants))}
	for i, grant := range grants {
		public := grant.Key()
		err := grant.Allows(public, req.Kind())
		var key *keystore.Key
		if err == nil {
			key, err = s.find(public, req)
		}
		if err != nil {
			b.refusals[i] = err
			continue
		}
		b.at = append(b.at, i)
		b.keys = append(b.keys, key)
		b.public = append(b.public, public)
	}
	return b
}

// parallel calls f for 0 to n-1 on as many goroutines as there are CPUs, and returns when all calls have ended.
func parallel(n int, f func(int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	workers.Wait()
}
