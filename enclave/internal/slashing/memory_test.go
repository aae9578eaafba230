package slashing_test

import (
	"errors"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// rolledBack is a guard that has recorded votes in a store which then is an older one.
func rolledBack(t *testing.T) (*slashing.Guard, *storetest.Liar, bls.PublicKey) {
	t.Helper()
	store := &storetest.Liar{Store: storetest.NewMemory()}
	g, key := newGuard(store), bls.PublicKey{1}
	checkPermit(t, g, key, vote(5, 6, 0), 0, "")
	checkPermit(t, g, key, proposal(9, 0), 0, "")
	store.Store = storetest.NewMemory()
	return g, store, key
}

// TestStoreThatForgetsIsNotBelieved: what this process recorded binds it, whatever the store has become.
func TestStoreThatForgetsIsNotBelieved(t *testing.T) {
	g, _, key := rolledBack(t)
	for words, req := range map[string]eth2.Request{
		"double vote: target 6 is not above the last signed target 6": vote(5, 6, 1),
		"surrounds the vote source 5 target 6":                        vote(4, 7, 0),
		"is below the last signed":                                    vote(2, 3, 0),
		"double proposal: slot 9":                                     proposal(9, 1),
		"slot 8 is below":                                             proposal(8, 0),
	} {
		checkPermit(t, g, key, req, problem.Slashable, words)
	}
	checkPermit(t, g, bls.PublicKey{2}, vote(1, 2, 0), 0, "") // another key has no such past
	checkPermit(t, g, key, vote(5, 7, 0), 0, "")              // what is above both is recorded anew
}

// TestContradictionStopsSigning: a store whose answer shows that it lost a vote is asked no more.
func TestContradictionStopsSigning(t *testing.T) {
	for name, standing := range map[string]slashing.Vote{
		"nothing":       nil,
		"a lower one":   slashing.Attestation{Source: 5, Target: 5},
		"a lower half":  slashing.Attestation{Source: 4, Target: 99},
		"another kind":  slashing.Block{Slot: 99},
		"another root":  slashing.Attestation{Source: 5, Target: 6, Root: eth2.Root{0xee}},
		"no known root": slashing.Attestation{Source: 4, Target: 6, RootUnknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			g, store, key := rolledBack(t)
			var told error
			g.OnWrite(func(_ int, _ time.Duration, err error) { told = err })
			store.After = func([]slashing.Outcome, error) ([]slashing.Outcome, error) {
				return []slashing.Outcome{{Standing: standing}}, nil
			}
			const words = "has lost votes that were recorded"
			checkPermit(t, g, key, vote(5, 7, 0), problem.StoreUnavailable, words)
			if !errors.Is(told, slashing.ErrContradicted) {
				t.Errorf("told %v", told)
			}
			store.After = nil
			checkPermit(t, g, bls.PublicKey{2}, vote(1, 2, 0), problem.StoreUnavailable, words)
			checkPermit(t, g, bls.PublicKey{2}, eth2.NewRandaoReveal(eth2.ForkInfo{}, 5), 0, "")
			if err := g.Check(t.Context()); !errors.Is(err, slashing.ErrContradicted) {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

// TestContradictionSpoilsItsGroup: a store that lost one key's vote may have lost those of the others in the same write.
func TestContradictionSpoilsItsGroup(t *testing.T) {
	g, store, key := rolledBack(t)
	keys := []bls.PublicKey{{2}, key, {3}}
	store.After = func(outcomes []slashing.Outcome, err error) ([]slashing.Outcome, error) {
		outcomes[1].Standing = nil
		return outcomes, err
	}
	permits, errs := g.PermitAll(t.Context(), keys, vote(5, 7, 0))
	for i := range keys {
		if !errors.Is(errs[i], slashing.ErrContradicted) || permits[i] != (slashing.Permit{}) {
			t.Errorf("key %d: %v", i, errs[i])
		}
	}
}

// TestOthersMayBeAhead: signers that share a store raise each other's records, which is no contradiction.
func TestOthersMayBeAhead(t *testing.T) {
	store := storetest.NewMemory()
	one, other, key := newGuard(store), newGuard(store), bls.PublicKey{1}
	checkPermit(t, one, key, vote(5, 6, 0), 0, "")
	checkPermit(t, other, key, vote(6, 8, 0), 0, "")
	checkPermit(t, one, key, vote(6, 7, 0), problem.Slashable, "is below the last signed target 8")
	checkPermit(t, one, key, vote(6, 9, 0), 0, "")
	if err := one.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
