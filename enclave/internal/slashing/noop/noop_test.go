package noop_test

import (
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/noop"
)

// TestPermitsEverything: and says so loudly.
func TestPermitsEverything(t *testing.T) {
	s := noop.Open()
	for _, slot := range []uint64{9, 9, 3} {
		vote := slashing.Block{Slot: slot}
		outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Vote: vote}, {Vote: slashing.Attestation{Source: 2, Target: 1}}})
		if err != nil || len(outcomes) != 2 || outcomes[0].Standing != vote {
			t.Errorf("slot %d: %v, %v", slot, outcomes, err)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(noop.Warning, "SLASHING PROTECTION IS OFF") {
		t.Errorf("the warning begins %q", noop.Warning)
	}
}
