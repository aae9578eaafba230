package slashing_test

import (
	"math"
	"testing"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func attestation(source, target uint64, root byte) slashing.Attestation {
	return slashing.Attestation{Source: source, Target: target, Root: eth2.Root{root}}
}

func block(slot uint64, root byte) slashing.Block {
	return slashing.Block{Slot: slot, Root: eth2.Root{root}}
}

func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		name       string
		last, next slashing.Vote
		want       string // reason; "" means allowed
	}{
		{"first attestation", nil, attestation(0, 0, 0), ""},
		{"first, source above target", nil, attestation(2, 1, 0), "source 2 is above target 1"},
		{"identical", attestation(5, 6, 1), attestation(5, 6, 1), ""},
		{"next target", attestation(5, 6, 1), attestation(5, 7, 1), ""},
		{"next source and target", attestation(5, 6, 1), attestation(6, 7, 1), ""},
		{"source equals target", attestation(5, 6, 1), attestation(7, 7, 1), ""},
		{"double by root", attestation(6, 7, 1), attestation(6, 7, 2), "double vote: target 7 is not above the last signed target 7"},
		{"double by source", attestation(5, 7, 1), attestation(6, 7, 1), "double vote: target 7 is not above the last signed target 7"},
		{"zero root is a value", attestation(6, 7, 1), attestation(6, 7, 0), "double vote: target 7 is not above the last signed target 7"},
		{"surrounds", attestation(5, 6, 1), attestation(4, 7, 1), "surrounds the vote source 5 target 6 on record"},
		{"surrounded", attestation(1, 9, 1), attestation(2, 8, 1), "is surrounded by the vote source 1 target 9 on record"},
		{"older target, same source", attestation(5, 9, 1), attestation(5, 8, 1), "target 8 is below the last signed target 9"},
		{"older both", attestation(5, 9, 1), attestation(4, 8, 1), "target 8 is below the last signed target 9"},
		{"source above target, otherwise new", attestation(5, 6, 1), attestation(8, 7, 1), "source 8 is above target 7"},
		{"top", attestation(5, 6, 1), attestation(6, math.MaxInt64, 1), ""},
		{"out of range", attestation(5, 6, 1), attestation(6, math.MaxInt64+1, 1), "target 9223372036854775808 is out of range"},
		{"first block", nil, block(0, 0), ""},
		{"identical block", block(9, 1), block(9, 1), ""},
		{"next block", block(9, 1), block(10, 1), ""},
		{"double proposal", block(9, 1), block(9, 2), "double proposal: slot 9 was signed with another root"},
		{"older block", block(9, 1), block(8, 1), "slot 8 is below the last signed slot 9"},
		{"block out of range", nil, block(math.MaxUint64, 1), "slot 18446744073709551615 is out of range"},
		{"attestation after block", block(9, 1), attestation(10, 11, 1), "the record of another kind was compared"},
		{"block after attestation", attestation(1, 2, 1), block(9, 1), "the record of another kind was compared"},
		{"no vote", nil, nil, "no vote"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := slashing.Judge(tc.last, tc.next)
			if got.Allowed() != (tc.want == "") || got.Reason() != tc.want {
				t.Errorf("allowed %v, reason %q; want %q", got.Allowed(), got.Reason(), tc.want)
			}
		})
	}
	if (slashing.Verdict{}).Allowed() {
		t.Error("the zero verdict allows")
	}
}

// TestJudgeAgainstTheDefinition compares the rule with the sentence that defines it, on every pair of small votes.
func TestJudgeAgainstTheDefinition(t *testing.T) {
	const n = 5
	for i := range n * n * n * n * 2 {
		last := attestation(uint64(i%n), uint64(i/n%n), 0)
		next := attestation(uint64(i/n/n%n), uint64(i/n/n/n%n), byte(i/n/n/n/n))
		want := next.Source <= next.Target &&
			(next.Source >= last.Source && next.Target > last.Target || next == last)
		if got := slashing.Judge(last, next); got.Allowed() != want || got.Allowed() != (got.Reason() == "") {
			t.Errorf("%+v after %+v: %v %q, want %v", next, last, got.Allowed(), got.Reason(), want)
		}
	}
}
