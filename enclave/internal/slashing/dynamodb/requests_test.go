package dynamodb_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb"
)

// group makes a claim for each of n keys.
func group(n int, target uint64, root byte) []slashing.Claim {
	claims := make([]slashing.Claim, n)
	for i := range claims {
		claims[i] = slashing.Claim{Key: bls.PublicKey{byte(i), byte(i >> 8), 1}, Vote: attestation(target, root)}
	}
	return claims
}

// TestRequestsPerGroup: a claim costs one request, allowed or refused, and a group one more.
func TestRequestsPerGroup(t *testing.T) {
	p, store, _ := through(t)
	for _, tc := range []struct {
		name                 string
		claims               []slashing.Claim
		allowed, read, wrote int
	}{
		{"recorded", group(20, 5, 1), 20, 1, 20},
		{"the same again", group(20, 5, 1), 20, 1, 20},
		{"refused", group(20, 5, 2), 0, 1, 20},
		{"refused and recorded", append(group(10, 5, 2), slashing.Claim{Key: bls.PublicKey{9, 9}, Vote: attestation(5, 1)}), 1, 1, 11},
		{"what no record can make right", []slashing.Claim{{Vote: slashing.Attestation{Source: 2, Target: 1}}}, 0, 2, 0},
		{"none", nil, 0, 0, 0},
	} {
		p.spoil(nil)
		outcomes, err := store.Advance(t.Context(), tc.claims)
		if err != nil {
			t.Fatal(err)
		}
		allowed := 0
		for i, o := range outcomes {
			if o.Permits(tc.claims[i].Vote) {
				allowed++
			}
		}
		if read, wrote := p.requests("GetItem"), p.requests("UpdateItem"); allowed != tc.allowed || read != tc.read || wrote != tc.wrote {
			t.Errorf("%s: %d allowed with %d reads and %d updates, want %d with %d and %d", tc.name, allowed, read, wrote, tc.allowed, tc.read, tc.wrote)
		}
	}
}

// TestKnownLimit: a claim above what this process knows to be the high watermark of all keys is not recorded, until that is raised.
func TestKnownLimit(t *testing.T) {
	p, store, truth := through(t)
	high := slashing.HighWatermark{Slot: slashing.MaxHeight, Epoch: 10}
	if err := truth.SetHighWatermark(t.Context(), nil, high); err != nil {
		t.Fatal(err)
	}
	claims := group(3, 20, 1)
	// The first group learns of it, and may record what it does not permit; the second one does not even try.
	for i, wrote := range []int{3, 0} {
		p.spoil(nil)
		outcomes, err := store.Advance(t.Context(), claims)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outcomes {
			if o.Above == nil || *o.Above != high || o.Permits(claims[0].Vote) {
				t.Errorf("group %d: %+v", i, o)
			}
		}
		if n := p.requests("UpdateItem"); n != wrote {
			t.Errorf("group %d: %d updates, want %d", i, n, wrote)
		}
	}
	if err := truth.SetHighWatermark(t.Context(), nil, slashing.NoHighWatermark()); err != nil {
		t.Fatal(err)
	}
	outcomes, err := store.Advance(t.Context(), claims)
	if err != nil || !outcomes[0].Permits(claims[0].Vote) {
		t.Errorf("after its removal: %+v, %v", outcomes, err)
	}
}

// TestBound: as many requests are under way at once as may be, never more, and connections are used again. A request that waits for a new
// connection takes one that becomes free meanwhile, and leaves the new one to others: there may be a few more than requests at once.
func TestBound(t *testing.T) {
	const bound = 8
	p, store, _ := through(t, func(o *dynamodb.Options) { o.Concurrency = bound })
	full := make(chan struct{})
	var waiting atomic.Int32
	p.spoil(onlyUpdates(func(int) deed {
		d := pass()
		d.wait = func() {
			if waiting.Add(1) == bound {
				close(full)
			}
			select {
			case <-full:
			case <-t.Context().Done():
			}
		}
		return d
	}))
	for round := range uint64(5) {
		claims := group(50, round+1, 1)
		outcomes, err := store.Advance(t.Context(), claims)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range outcomes {
			if !o.Permits(claims[i].Vote) {
				t.Errorf("claim %d: %+v", i, o)
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.most != bound || p.accepted > 2*bound || p.count["UpdateItem"] != 250 {
		t.Errorf("%d updates, at most %d requests at once, %d connections; want 250, %d, at most %d", p.count["UpdateItem"], p.most, p.accepted, bound, 2*bound)
	}
}

// TestConnectionIsKept: also after an answer that is an error.
func TestConnectionIsKept(t *testing.T) {
	p, store, _ := through(t, func(o *dynamodb.Options) { o.Concurrency = 1 })
	for _, claims := range [][]slashing.Claim{group(10, 5, 1), group(10, 5, 2), group(10, 4, 1)} {
		if _, err := store.Advance(t.Context(), claims); err != nil {
			t.Fatal(err)
		}
	}
	p.spoil(onlyUpdates(first(5, throttle())))
	if _, err := store.Advance(t.Context(), group(1, 6, 1)); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// On a busy machine the client may learn of an answer before it knows that its request is sent, and gives such a connection up.
	if most := 10; p.accepted > most {
		t.Errorf("%d connections for some 40 requests, 25 of which failed; want at most %d", p.accepted, most)
	}
}

// TestRace: of two conflicting votes that two clients send at once, exactly one is permitted, thousands of times.
func TestRace(t *testing.T) {
	const keys, rounds = 250, 12
	name := table(t)
	clients := []*dynamodb.Store{open(t, options(name)), open(t, options(name))}
	wins := [2]int{}
	for round := range uint64(rounds) {
		var results [2][]slashing.Outcome
		var racing sync.WaitGroup
		for i, client := range clients {
			racing.Go(func() {
				var err error
				if results[i], err = client.Advance(t.Context(), group(keys, round+1, byte(i))); err != nil {
					t.Error(err)
				}
			})
		}
		racing.Wait()
		if t.Failed() {
			return
		}
		for k := range keys {
			one, other := results[0][k], results[1][k]
			first, second := one.Permits(attestation(round+1, 0)), other.Permits(attestation(round+1, 1))
			if first == second || one.Standing != other.Standing {
				t.Fatalf("key %d: %+v and %+v", k, one, other)
			}
			if first {
				wins[0]++
			} else {
				wins[1]++
			}
		}
	}
	t.Logf("wins %v", wins)
	if wins[0] == 0 || wins[1] == 0 {
		t.Errorf("wins %v: it was no race", wins)
	}
}

// TestCloseWaits: Close returns after the calls under way, whose connections nobody answers.
func TestCloseWaits(t *testing.T) {
	p, store, _ := through(t)
	arrived := make(chan struct{})
	p.spoil(onlyUpdates(func(n int) deed {
		if n == 1 {
			close(arrived)
		}
		return deed{then: hang}
	}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var ended atomic.Bool
	var call sync.WaitGroup
	call.Go(func() {
		_, err := store.Advance(ctx, []slashing.Claim{{Vote: slashing.Block{Slot: 1, Root: eth2.Root{1}}}})
		ended.Store(true)
		checkError(t, err, slashing.ErrOutcomeUnknown)
	})
	<-arrived
	call.Go(func() {
		if err := store.Close(); err != nil || !ended.Load() {
			t.Errorf("Close: %v, and the call has ended: %v", err, ended.Load())
		}
	})
	cancel()
	call.Wait()
}
