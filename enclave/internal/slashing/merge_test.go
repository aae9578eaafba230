package slashing_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

func TestMerged(t *testing.T) {
	a := func(source, target uint64, root byte) *slashing.Attestation {
		return &slashing.Attestation{Source: source, Target: target, Root: eth2.Root{root}}
	}
	unknown := func(source, target uint64) *slashing.Attestation {
		return &slashing.Attestation{Source: source, Target: target, RootUnknown: true}
	}
	for _, tc := range []struct {
		name              string
		one, other, wants *slashing.Attestation
	}{
		{"nothing", nil, nil, nil},
		{"one alone", a(1, 2, 3), nil, a(1, 2, 3)},
		{"one above the other", a(1, 2, 3), a(1, 1, 9), a(1, 2, 3)},
		{"equal", a(1, 2, 3), a(1, 2, 3), a(1, 2, 3)},
		{"equal, zero roots", a(1, 2, 0), a(1, 2, 0), a(1, 2, 0)},
		{"equal but for the root", a(1, 2, 3), a(1, 2, 4), unknown(1, 2)},
		{"equal but one root unknown", a(1, 2, 3), unknown(1, 2), unknown(1, 2)},
		{"unknown below", a(1, 2, 3), unknown(1, 1), a(1, 2, 3)},
		{"unknown above", a(1, 2, 3), unknown(1, 3), unknown(1, 3)},
		{"greatest source elsewhere", a(1, 5, 3), a(2, 3, 4), unknown(2, 5)},
		{"same target, another source", a(2, 5, 3), a(1, 5, 3), unknown(2, 5)},
		{"same target, another source and root", a(2, 5, 3), a(1, 5, 4), unknown(2, 5)},
	} {
		for _, swapped := range []bool{false, true} {
			one, other := slashing.Record{Attestation: tc.one}, slashing.Record{Attestation: tc.other}
			if swapped {
				one, other = other, one
			}
			if diff := cmp.Diff(tc.wants, slashing.Merged(one, other).Attestation); diff != "" {
				t.Errorf("%s, swapped %v: %s", tc.name, swapped, diff)
			}
		}
	}
}

// TestMergedRefusesWhatEitherRefuses: no vote gets through a merged record that one of its halves would have stopped.
func TestMergedRefusesWhatEitherRefuses(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	root := func() (eth2.Root, bool) {
		n := byte(random.IntN(3))
		if n == 2 {
			return eth2.Root{}, true
		}
		return eth2.Root{n}, false
	}
	draw := func() slashing.Record {
		source := random.Uint64N(4)
		r := slashing.Record{Attestation: &slashing.Attestation{Source: source, Target: source + random.Uint64N(4)}, Block: &slashing.Block{Slot: random.Uint64N(4)}}
		r.Attestation.Root, r.Attestation.RootUnknown = root()
		r.Block.Root, r.Block.RootUnknown = root()
		return r
	}
	allowed := 0
	for range 20000 {
		one, other, next := draw(), draw(), draw()
		merged := slashing.Merged(one, other)
		for _, votes := range [][4]slashing.Vote{
			{*one.Attestation, *other.Attestation, *merged.Attestation, *next.Attestation},
			{*one.Block, *other.Block, *merged.Block, *next.Block},
		} {
			if !slashing.Judge(votes[2], votes[3]).Allowed() {
				continue
			}
			allowed++
			for _, half := range votes[:2] {
				if v := slashing.Judge(half, votes[3]); !v.Allowed() {
					t.Fatalf("%+v is allowed after %+v, merged of %+v and %+v, one of which refuses it: %s", votes[3], votes[2], votes[0], votes[1], v.Reason())
				}
			}
		}
	}
	if allowed < 1000 {
		t.Errorf("only %d votes were allowed", allowed)
	}
}
