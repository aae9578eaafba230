package slashing_test

import (
	"errors"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// TestNoFalseContradiction: a claim that failed alone, and a record that an operator made unknown, are no contradiction.
func TestNoFalseContradiction(t *testing.T) {
	memory := storetest.NewMemory()
	liar := &storetest.Liar{Store: memory}
	g, key := newGuard(liar), bls.PublicKey{1}
	checkPermit(t, g, key, vote(5, 6, 0), 0, "")
	checkPermit(t, g, key, proposal(9, 0), 0, "")
	liar.After = func([]slashing.Outcome, error) ([]slashing.Outcome, error) {
		return []slashing.Outcome{{Err: slashing.ErrUnavailable}}, nil
	}
	checkPermit(t, g, key, vote(5, 7, 0), problem.StoreUnavailable, "nothing was recorded")
	liar.After = nil
	checkPermit(t, g, key, vote(5, 7, 0), 0, "")
	raised := slashing.Record{Key: key, Attestation: &slashing.Attestation{Source: 5, Target: 7, RootUnknown: true}, Block: &slashing.Block{Slot: 9, RootUnknown: true}}
	if err := memory.Merge(t.Context(), []slashing.Record{raised}); err != nil {
		t.Fatal(err)
	}
	checkPermit(t, g, key, vote(5, 7, 0), problem.Slashable, "double vote")
	checkPermit(t, g, key, proposal(9, 0), problem.Slashable, "double proposal")
	checkPermit(t, g, key, vote(5, 8, 0), 0, "")
	checkPermit(t, g, key, proposal(10, 0), 0, "")
	if err := g.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestLostBlocks: a store that lost a proposal is not believed either, whatever it holds instead.
func TestLostBlocks(t *testing.T) {
	for name, standing := range map[string]slashing.Vote{
		"nothing": nil, "a lower one": slashing.Block{Slot: 8}, "another root": slashing.Block{Slot: 9, Root: eth2.Root{0xee}},
		"lower without root": slashing.Block{Slot: 8, RootUnknown: true},
	} {
		g, store, key := rolledBack(t)
		store.After = func([]slashing.Outcome, error) ([]slashing.Outcome, error) {
			return []slashing.Outcome{{Standing: standing}}, nil
		}
		checkPermit(t, g, key, proposal(10, 0), problem.StoreUnavailable, "has lost votes")
		if err := g.Check(t.Context()); !errors.Is(err, slashing.ErrContradicted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
