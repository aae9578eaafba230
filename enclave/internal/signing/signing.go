// Package signing turns a granted request into a signature.
package signing

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// messages is how many hashed signing roots are remembered: a slot has one vote for most keys, and some aggregates and
// sync committee messages beside it.
const messages = 64

// slotsPerCPU is the default concurrency: a slot is also held while the slashing store writes, so there are more
// slots than CPUs.
const slotsPerCPU = 64

// Options are what a Signer is made of. All pointers must be set.
type Options struct {
	Network     *eth2.Network
	Keys        *keystore.Keystore
	Guard       *slashing.Guard
	Concurrency int           // requests under way at once; zero means 64 for each CPU
	Wait        time.Duration // the most that a request waits for a slot; zero refuses at once
	// MaxFutureEpochs is how far ahead of the clock a block or a vote's target may be; zero looks at no clock.
	MaxFutureEpochs uint64
	Custody         Custody          // nil without a master key: nothing is ever sealed or frozen
	Now             func() time.Time // nil is time.Now
	Registry        prometheus.Registerer
}

// Signer is the one way to a signature. It is safe for concurrent use.
type Signer struct {
	network *eth2.Network
	keys    *keystore.Keystore
	guard   *slashing.Guard
	wait    time.Duration
	slots   chan struct{} // one element per request under way
	batched chan struct{} // one element per signature that a batch is making: as many as CPUs, so that single requests get their share
	hashed  *bls.Messages
	future  uint64 // epochs, zero for any
	custody Custody
	now     func() time.Time

	stopping sync.RWMutex   // held for reading to enter, so that Stop never misses one who does
	stopped  bool           // guarded by stopping
	inside   sync.WaitGroup // requests that have entered

	testHookPermitted func() // between permit and signature; nil outside tests
}

// New makes a Signer, and registers its metrics and those of the guard.
func New(o Options) (*Signer, error) {
	if o.Network == nil || o.Keys == nil || o.Guard == nil || o.Registry == nil {
		return nil, errors.New("signing: network, keys, guard and registry are needed")
	}
	if o.Concurrency < 0 || o.Wait < 0 {
		return nil, errors.New("signing: concurrency and wait cannot be negative")
	}
	if o.Concurrency == 0 {
		o.Concurrency = slotsPerCPU * runtime.GOMAXPROCS(0)
	}
	s := &Signer{
		network: o.Network, keys: o.Keys, guard: o.Guard, wait: o.Wait,
		slots: make(chan struct{}, o.Concurrency), batched: make(chan struct{}, runtime.GOMAXPROCS(0)), hashed: bls.NewMessages(messages),
		future: o.MaxFutureEpochs, custody: o.Custody, now: o.Now,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.register(o.Registry); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return s, nil
}

// Sign answers one request with the key that the grant names. Nothing is written for a key we do not hold; nothing
// slashable is signed that is not on record. Every refusal is a problem: Forbidden, Sealed, Overloaded, UnknownKey,
// Slashable or StoreUnavailable.
func (s *Signer) Sign(ctx context.Context, grant auth.Grant, req eth2.Request) (bls.Signature, error) {
	public := grant.Key()
	if err := grant.Allows(public, req.Kind()); err != nil {
		return bls.Signature{}, err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return bls.Signature{}, err
	}
	defer leave()
	if err := s.check(req); err != nil {
		return bls.Signature{}, err
	}
	key, err := s.find(public, req)
	if err != nil {
		return bls.Signature{}, err
	}
	permit, err := s.guard.Permit(ctx, public, req) // from here the vote may be on record, whatever we return
	if err != nil {
		return bls.Signature{}, err
	}
	return s.redeem(key, permit, req)
}

// redeem turns a permit into the signature, unless an operator has sealed or frozen meanwhile.
func (s *Signer) redeem(key *keystore.Key, permit slashing.Permit, req eth2.Request) (bls.Signature, error) {
	if s.testHookPermitted != nil {
		s.testHookPermitted()
	}
	if err := s.halted(key.PublicKey(), req); err != nil {
		return bls.Signature{}, err
	}
	sig, err := key.Sign(permit, s.hashed)
	if err != nil {
		return bls.Signature{}, s.gone(key, err)
	}
	return sig, nil
}

// Stop refuses everything from now on and returns when nothing is under way any more. What is under way is bounded by the wait
// for a slot, the slashing guard's writes, and the signatures of batches whose callers stay.
func (s *Signer) Stop() {
	s.stopping.Lock()
	s.stopped = true
	s.stopping.Unlock()
	s.inside.Wait()
}
