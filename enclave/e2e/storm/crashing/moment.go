package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/app"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Points of a write.
const (
	asked    = "asked"    // before the store is asked
	recorded = "recorded" // the store has recorded, and nobody knows
	signing  = "signing"  // the guard knows, and the signature is under way
)

// signingTime is about what lies between the store's answer and the last byte of the signer's.
const signingTime = 2 * time.Millisecond

// moment is when to die.
type moment struct {
	point  string // "" for never
	height uint64 // of the vote
}

func (m moment) check() error {
	switch m.point {
	case "", asked, recorded, signing:
		return nil
	}
	return fmt.Errorf("-point: there is no point %q", m.point)
}

// in has a store die at the moment.
func (m moment) in(open app.OpenStore) app.OpenStore {
	return func(ctx context.Context, c config.AntiSlashing, dial egress.DialFunc) (slashing.Store, error) {
		s, err := open(ctx, c, dial)
		if err != nil {
			return nil, err
		}
		ledger, ok := s.(slashing.Ledger)
		if !ok {
			return nil, fmt.Errorf("%T is no ledger", s)
		}
		return &mortal{ledger, m}, nil
	}
}

// mortal is a store whose process dies at a moment of Advance.
type mortal struct {
	slashing.Ledger
	end moment
}

// Advance implements slashing.Store.
func (m *mortal) Advance(ctx context.Context, claims []slashing.Claim) ([]slashing.Outcome, error) {
	if !slices.ContainsFunc(claims, m.end.meant) {
		return m.Ledger.Advance(ctx, claims)
	}
	if m.end.point == asked {
		die()
	}
	outcomes, err := m.Ledger.Advance(ctx, claims)
	switch m.end.point {
	case recorded:
		die()
	case signing:
		time.AfterFunc(rand.N(signingTime), die) //nolint:gosec // any moment will do
	}
	return outcomes, err
}

func (m moment) meant(c slashing.Claim) bool {
	switch v := c.Vote.(type) {
	case slashing.Attestation:
		return v.Target == m.height
	case slashing.Block:
		return v.Slot == m.height
	}
	return false
}

// die ends the process as a loss of power does: nothing is flushed, closed or said. Nobody goes on behind it.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
