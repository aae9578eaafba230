package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// TestSilentConnections: votes whose connection goes silent, without being closed, are recorded on another one within the time of one
// write, however often that happens.
func TestSilentConnections(t *testing.T) {
	for name, v := range map[string]verdict{"the server never gets it": swallow, "the answer never comes": swallowBack} {
		t.Run(name, func(t *testing.T) {
			database := newDatabase(t)
			p := newProxy(t, shared.Address())
			o := plain(p.Address(), database)
			o.Timeout, o.PoolSize = 2*time.Second, 2
			s := open(t, o)
			var tries atomic.Int32
			p.Spoil(false, func(fromClient bool, data []byte) verdict {
				if writes(fromClient, data) && tries.Add(1)%2 == 1 {
					return v
				}
				return pass
			})
			const votes = 3 // more than the pool has places
			for slot := range uint64(votes) {
				vote := slashing.Block{Slot: slot}
				outcomes, err := s.Advance(within(t, o.Timeout), []slashing.Claim{{Vote: vote}})
				if err != nil || !outcomes[0].Permits(vote) {
					t.Errorf("slot %d: %v, %v", slot, outcomes, err)
				}
			}
			p.Spoil(false, nil)
			if n := tries.Load(); n != 2*votes {
				t.Errorf("%d tries for %d votes", n, votes)
			}
		})
	}
}

// TestVotesDoNotWaitForChecks: one that is never answered holds up no vote, even in the smallest pool.
func TestVotesDoNotWaitForChecks(t *testing.T) {
	database := newDatabase(t)
	p := newProxy(t, shared.Address())
	o := plain(p.Address(), database)
	o.PoolSize = 1
	refused(t, o, nil, "a pool of 1 connections is too small, want at least 2")
	o.PoolSize = 2
	// Open asks once on its own connection, once on each of the pool's, and once more as Check.
	const askedByOpen = 4
	ready, silent := make(chan struct{}), make(chan struct{})
	asked := 0
	p.Spoil(false, func(fromClient bool, data []byte) verdict {
		if fromClient && bytes.Contains(data, []byte("pg_is_in_recovery")) {
			switch asked++; asked {
			case askedByOpen:
				close(ready)
			case askedByOpen + 1:
				close(silent)
				return swallow
			}
		}
		return pass
	})
	s := open(t, o)
	<-ready
	ctx, cancel := context.WithCancel(t.Context())
	checked := make(chan error, 1)
	go func() { checked <- s.Check(ctx) }()
	<-silent
	claims := []slashing.Claim{{Vote: slashing.Block{Slot: 1}}}
	if outcomes, err := s.Advance(t.Context(), claims); err != nil || !outcomes[0].Permits(claims[0].Vote) {
		t.Errorf("%v, %v", outcomes, err)
	}
	cancel()
	if err := <-checked; !errors.Is(err, slashing.ErrUnavailable) {
		t.Errorf("the check: %v", err)
	}
}
