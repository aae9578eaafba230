package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// testEndedContext: an Advance whose context has ended records nothing or everything, and says what it knows.
func testEndedContext(t *testing.T, p Place) {
	s := opened(t, p)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	vote := slashing.Block{Slot: 5, Root: eth2.Root{5}}
	if _, err := s.Advance(ended, []slashing.Claim{{Vote: vote}}); !errors.Is(err, slashing.ErrUnavailable) && !errors.Is(err, slashing.ErrOutcomeUnknown) {
		t.Errorf("Advance with an ended context: %v", err)
	} else if errors.Is(err, slashing.ErrUnavailable) {
		low := slashing.Block{Slot: 4}
		checkStanding(t, one(t, s, bls.PublicKey{}, low), low)
	}
	checkStanding(t, one(t, s, bls.PublicKey{}, vote), vote)
}

// histories is how many random histories a run tries, each of steps votes over few keys, epochs and roots, so that
// conflicts are common.
const (
	histories = 12
	steps     = 80
)

// testProperty: store and rule agree at every step, and whatever is allowed is allowed by the whole history too.
func testProperty(t *testing.T, p Place) {
	s := opened(t, p)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // not for secrets
	allowed, signed := 0, NewHistory()
	for round := range byte(histories) {
		model := make(map[place]slashing.Vote)
		for range steps {
			c := randomClaim(random, round)
			at := placeOf(c)
			want := slashing.Judge(model[at], c.Vote)
			got := one(t, s, c.Key, c.Vote)
			if got.Err != nil {
				t.Fatal(got.Err)
			}
			if stored := got.Standing == c.Vote; stored != want.Allowed() {
				t.Fatalf("%+v after %+v: store says %v, rule says %v (%s)", c.Vote, model[at], stored, want.Allowed(), want.Reason())
			}
			if want.Allowed() {
				allowed++
				model[at] = c.Vote
				if err := signed.Add(c.Key, c.Vote); err != nil {
					t.Fatal(err)
				}
			}
			if got.Standing != model[at] {
				t.Fatalf("on record %+v, want %+v", got.Standing, model[at])
			}
		}
	}
	if allowed < histories || allowed > histories*steps*9/10 {
		t.Errorf("%d of %d votes were allowed: the histories test nothing", allowed, histories*steps)
	}
}

// randomClaim makes a vote for one of two keys of a round.
func randomClaim(random *rand.Rand, round byte) slashing.Claim {
	c := slashing.Claim{Key: bls.PublicKey{round, byte(random.IntN(2)), 7}}
	root := eth2.Root{byte(random.IntN(2))}
	if random.IntN(4) == 0 {
		c.Vote = slashing.Block{Slot: random.Uint64N(12), Root: root}
	} else {
		c.Vote = slashing.Attestation{Source: random.Uint64N(8), Target: random.Uint64N(12), Root: root}
	}
	return c
}

// racers is how many callers send conflicting claims for one key at once, half of them for blocks.
const racers = 64

// testRace: of conflicting claims for one key at one time, exactly one of each kind is recorded.
func testRace(t *testing.T, p Place) {
	s := opened(t, p)
	for round := range uint64(4) {
		var winners [2]atomic.Int32 // of attestations and of blocks
		var wg sync.WaitGroup
		for i := range byte(racers) {
			votes := []slashing.Vote{
				slashing.Attestation{Source: round, Target: round + 1, Root: eth2.Root{i}},
				slashing.Block{Slot: round, Root: eth2.Root{i}},
			}
			kind := int(i) % len(votes)
			wg.Go(func() {
				outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Key: bls.PublicKey{9}, Vote: votes[kind]}})
				switch {
				case err != nil || len(outcomes) != 1 || outcomes[0].Err != nil:
					t.Errorf("caller %d: %v, %v", i, outcomes, err)
				case outcomes[0].Standing == votes[kind]:
					winners[kind].Add(1)
				}
			})
		}
		wg.Wait()
		for kind := range winners {
			if n := winners[kind].Load(); n != 1 {
				t.Errorf("round %d: %d of %d conflicting claims of kind %d recorded, want exactly 1", round, n, racers/len(winners), kind)
			}
		}
	}
}
