package storetest

import (
	"errors"
	"math"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Place is one empty storage. Open opens it; Run closes what it opens, and then may open it again.
type Place struct {
	Open func() slashing.Store
}

// Run checks that a store keeps the contract of slashing.Store. fresh makes an empty storage, and fails the test
// if it cannot.
func Run(t *testing.T, fresh func(t *testing.T) Place) {
	t.Helper()
	for _, tc := range []struct {
		name string
		test func(t *testing.T, p Place)
	}{
		{"steps", testSteps},
		{"kinds and keys are apart", testApart},
		{"batch", testBatch},
		{"height is bounded", testHeight},
		{"known keys only", testKnownOnly},
		{"survives reopening", testReopen},
		{"ended context", testEndedContext},
		{"closed", testClosed},
		{"agrees with the rule", testProperty},
		{"one winner per race", testRace},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, fresh(t)) })
	}
}

// one sends a single claim.
func one(t *testing.T, s slashing.Store, key bls.PublicKey, vote slashing.Vote) slashing.Outcome {
	t.Helper()
	outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Key: key, Vote: vote}})
	if err != nil {
		t.Fatalf("Advance(%+v): %v", vote, err)
	}
	if len(outcomes) != 1 {
		t.Fatalf("Advance(%+v): %d outcomes for one claim", vote, len(outcomes))
	}
	return outcomes[0]
}

func checkStanding(t *testing.T, got slashing.Outcome, want slashing.Vote) {
	t.Helper()
	if got.Err != nil || got.Standing != want {
		t.Errorf("on record: %+v (error %v), want %+v", got.Standing, got.Err, want)
	}
}

func opened(t *testing.T, p Place) slashing.Store {
	t.Helper()
	s := p.Open()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if err := s.Check(t.Context()); err != nil {
		t.Fatalf("Check of an open store: %v", err)
	}
	return s
}

func testSteps(t *testing.T, p Place) {
	s := opened(t, p)
	a := func(source, target uint64, root byte) slashing.Attestation {
		return slashing.Attestation{Source: source, Target: target, Root: eth2.Root{root}}
	}
	b := func(slot uint64, root byte) slashing.Block { return slashing.Block{Slot: slot, Root: eth2.Root{root}} }
	for _, step := range []struct {
		name        string
		claim, want slashing.Vote
	}{
		{"source above target, nothing on record", a(6, 5, 1), nil},
		{"an unknown root, nothing on record", slashing.Attestation{Source: 5, Target: 6, RootUnknown: true}, nil},
		{"first vote", a(5, 6, 1), a(5, 6, 1)},
		{"the same again", a(5, 6, 1), a(5, 6, 1)},
		{"another root", a(5, 6, 2), a(5, 6, 1)},
		{"zero root", a(5, 6, 0), a(5, 6, 1)},
		{"same root, other source", a(4, 6, 1), a(5, 6, 1)},
		{"surrounds", a(4, 7, 3), a(5, 6, 1)},
		{"older", a(4, 5, 3), a(5, 6, 1)},
		{"source above target, new target", a(8, 7, 3), a(5, 6, 1)},
		{"an unknown root", slashing.Attestation{Source: 5, Target: 7, RootUnknown: true}, a(5, 6, 1)},
		{"next target", a(5, 7, 3), a(5, 7, 3)},
		{"the one before again", a(5, 6, 1), a(5, 7, 3)},
		{"next source", a(9, 9, 0), a(9, 9, 0)},
		{"surrounded is below", a(9, 8, 4), a(9, 9, 0)},
		{"a block with an unknown root, nothing on record", slashing.Block{RootUnknown: true}, nil},
		{"first block", b(0, 0), b(0, 0)},
		{"a block with an unknown root", slashing.Block{Slot: 1, RootUnknown: true}, b(0, 0)},
		{"same slot, another root", b(0, 1), b(0, 0)},
		{"next slot", b(1, 1), b(1, 1)},
		{"same block again", b(1, 1), b(1, 1)},
		{"below", b(0, 0), b(1, 1)},
	} {
		got := one(t, s, bls.PublicKey{1}, step.claim)
		if got.Err != nil || got.Standing != step.want {
			t.Errorf("%s: on record %+v (error %v), want %+v", step.name, got.Standing, got.Err, step.want)
		}
	}
}

func testApart(t *testing.T, p Place) {
	s := opened(t, p)
	vote, block := slashing.Attestation{Source: 100, Target: 200}, slashing.Block{Slot: 300}
	low := slashing.Attestation{Target: 1}
	checkStanding(t, one(t, s, bls.PublicKey{1}, vote), vote)
	checkStanding(t, one(t, s, bls.PublicKey{1}, block), block)
	checkStanding(t, one(t, s, bls.PublicKey{2}, low), low)
	checkStanding(t, one(t, s, bls.PublicKey{1}, low), vote)
}

func testBatch(t *testing.T, p Place) {
	s := opened(t, p)
	const keys = 200
	var first, second []slashing.Claim
	for i := range byte(keys) {
		key := bls.PublicKey{^i, i} // not sorted
		first = append(first, slashing.Claim{Key: key, Vote: slashing.Attestation{Source: 1, Target: 2, Root: eth2.Root{i}}})
		vote := slashing.Attestation{Source: 1, Target: 3, Root: eth2.Root{i}}
		if i%3 == 0 {
			vote.Source = 0 // refused; its neighbours are not
		}
		second = append(second, slashing.Claim{Key: key, Vote: vote}, slashing.Claim{Key: key, Vote: slashing.Block{Slot: 9}})
	}
	outcomes, err := s.Advance(t.Context(), first)
	if err != nil || len(outcomes) != len(first) {
		t.Fatalf("first batch: %d outcomes, %v", len(outcomes), err)
	}
	for i, got := range outcomes {
		checkStanding(t, got, first[i].Vote)
	}
	outcomes, err = s.Advance(t.Context(), second)
	if err != nil || len(outcomes) != len(second) {
		t.Fatalf("second batch: %d outcomes, %v", len(outcomes), err)
	}
	for i, got := range outcomes {
		want := second[i].Vote
		if i%6 == 0 {
			want = first[i/2].Vote
		}
		checkStanding(t, got, want)
	}
	if outcomes, err := s.Advance(t.Context(), nil); err != nil || len(outcomes) != 0 {
		t.Errorf("empty batch: %v, %v", outcomes, err)
	}
}

func testHeight(t *testing.T, p Place) {
	s := opened(t, p)
	for _, v := range []slashing.Vote{
		slashing.Attestation{Target: slashing.MaxHeight + 1},
		slashing.Attestation{Source: math.MaxUint64, Target: math.MaxUint64},
		slashing.Attestation{Source: math.MaxUint64, Target: 5},
		slashing.Block{Slot: math.MaxUint64},
		slashing.Block{Slot: slashing.MaxHeight + 1},
	} {
		checkStanding(t, one(t, s, bls.PublicKey{1}, v), nil)
	}
	top, block := slashing.Attestation{Source: slashing.MaxHeight, Target: slashing.MaxHeight}, slashing.Block{Slot: slashing.MaxHeight}
	checkStanding(t, one(t, s, bls.PublicKey{1}, top), top)
	checkStanding(t, one(t, s, bls.PublicKey{1}, block), block)
	checkStanding(t, one(t, s, bls.PublicKey{1}, slashing.Block{Slot: math.MaxUint64}), block)
	checkStanding(t, one(t, s, bls.PublicKey{1}, slashing.Attestation{Target: math.MaxUint64}), top)
}

func testReopen(t *testing.T, p Place) {
	vote, block := slashing.Attestation{Source: 7, Target: 8, Root: eth2.Root{9}}, slashing.Block{Slot: 10, Root: eth2.Root{11}}
	s := p.Open()
	one(t, s, bls.PublicKey{1}, vote)
	one(t, s, bls.PublicKey{1}, block)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = opened(t, p)
	checkStanding(t, one(t, s, bls.PublicKey{1}, slashing.Attestation{Source: 7, Target: 8}), vote)
	checkStanding(t, one(t, s, bls.PublicKey{1}, slashing.Block{Slot: 9}), block)
}

func testClosed(t *testing.T, p Place) {
	s := p.Open()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Vote: slashing.Block{Slot: 1}}})
	if !errors.Is(err, slashing.ErrUnavailable) || outcomes != nil {
		t.Errorf("Advance after Close: %v, %v", outcomes, err)
	}
	if err := s.Check(t.Context()); !errors.Is(err, slashing.ErrUnavailable) {
		t.Errorf("Check after Close: %v", err)
	}
}
