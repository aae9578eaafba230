package slashing_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// TestHangUpDoesNotUndoTheWrite: the caller goes while the store is at work; the vote is recorded all the same.
func TestHangUpDoesNotUndoTheWrite(t *testing.T) {
	memory := storetest.NewMemory()
	caller, hangUp := context.WithCancel(t.Context())
	g := newGuard(&storetest.Liar{Store: memory, Before: func(ctx context.Context, _ []slashing.Claim) error {
		hangUp()
		return ctx.Err()
	}})
	if _, err := g.Permit(caller, bls.PublicKey{1}, vote(5, 6, 0)); err != nil {
		t.Fatalf("the write ended with its caller: %v", err)
	}
	standing := vote(5, 6, 0).SigningRoot()
	outcomes, err := memory.Advance(t.Context(), []slashing.Claim{{Key: bls.PublicKey{1}, Vote: attestation(5, 6, 77)}})
	if err != nil || outcomes[0].Standing != (slashing.Attestation{Source: 5, Target: 6, Root: standing}) {
		t.Errorf("on record: %+v, %v", outcomes, err)
	}
}

// TestWriteHasItsOwnLimit: a store that hangs is left after the limit, whatever the caller's own time.
func TestWriteHasItsOwnLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 3 * time.Second
		g := slashing.NewGuard(&storetest.Liar{Before: func(ctx context.Context, _ []slashing.Claim) error {
			<-ctx.Done()
			return ctx.Err()
		}}, limit)
		begin := time.Now()
		_, err := g.Permit(t.Context(), bls.PublicKey{1}, vote(5, 6, 0))
		if !errors.Is(err, slashing.ErrOutcomeUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want unknown by deadline", err)
		}
		if took := time.Since(begin); took != limit {
			t.Errorf("took %s, want %s", took, limit)
		}
	})
}

// TestNoTimeNoWrite: what nobody can wait for is not begun.
func TestNoTimeNoWrite(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	hurried, cancel := context.WithTimeout(t.Context(), 59*time.Second) // a write may take a minute
	defer cancel()
	for name, ctx := range map[string]context.Context{"caller gone": ended, "little time": hurried} {
		g := newGuard(&storetest.Liar{Before: func(context.Context, []slashing.Claim) error {
			t.Errorf("%s: the store was asked", name)
			return slashing.ErrUnavailable
		}})
		permit, err := g.Permit(ctx, bls.PublicKey{1}, vote(5, 6, 0))
		if p := problem.Of(err); p.Kind != problem.Overloaded || permit != (slashing.Permit{}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	patient, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if _, err := newGuard(storetest.NewMemory()).Permit(patient, bls.PublicKey{1}, vote(5, 6, 0)); err != nil {
		t.Error(err)
	}
}

func TestGuardCheck(t *testing.T) {
	memory := storetest.NewMemory()
	g := newGuard(memory)
	if err := g.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := memory.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.Check(t.Context()); !errors.Is(err, slashing.ErrUnavailable) {
		t.Errorf("a closed store: %v", err)
	}
}
