package storetest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	fresh := func(*testing.T) storetest.Place {
		m := storetest.NewMemory()
		return storetest.Place{Open: func() slashing.Store { m.Reopen(); return m }}
	}
	storetest.Run(t, fresh)
	storetest.RunLedger(t, fresh)
}

// TestHistoryFindsConflicts makes sure that the judge of the other tests can condemn.
func TestHistoryFindsConflicts(t *testing.T) {
	a := func(source, target uint64, root byte) slashing.Attestation {
		return slashing.Attestation{Source: source, Target: target, Root: eth2.Root{root}}
	}
	b := func(slot uint64, root byte) slashing.Block { return slashing.Block{Slot: slot, Root: eth2.Root{root}} }
	for _, tc := range []struct {
		name         string
		first, other slashing.Vote
		slashable    bool
	}{
		{"same vote", a(1, 2, 1), a(1, 2, 1), false},
		{"next vote", a(1, 2, 1), a(2, 3, 1), false},
		{"same source", a(1, 2, 1), a(1, 3, 1), false},
		{"double vote by root", a(1, 2, 1), a(1, 2, 2), true},
		{"double vote by source", a(1, 2, 1), a(0, 2, 1), true},
		{"surrounding", a(2, 3, 1), a(1, 4, 1), true},
		{"surrounded", a(1, 4, 1), a(2, 3, 1), true},
		{"source above target", a(1, 2, 1), a(4, 3, 1), true},
		{"same block", b(1, 1), b(1, 1), false},
		{"two blocks", b(1, 1), b(1, 2), true},
		{"next block", b(1, 1), b(2, 1), false},
	} {
		h := storetest.NewHistory()
		if err := h.Add(bls.PublicKey{1}, tc.first); err != nil {
			t.Fatalf("%s: the first vote: %v", tc.name, err)
		}
		if err := h.Add(bls.PublicKey{1}, tc.other); (err != nil) != tc.slashable {
			t.Errorf("%s: %v", tc.name, err)
		}
		if err := h.Add(bls.PublicKey{2}, a(2, 3, 9)); err != nil {
			t.Errorf("%s: another key: %v", tc.name, err)
		}
		if h.Signed() != 3 {
			t.Errorf("%s: %d votes counted, want 3", tc.name, h.Signed())
		}
	}
}
