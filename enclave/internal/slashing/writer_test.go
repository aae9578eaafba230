package slashing_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// turnstile is a store whose writes wait, one by one, to be let through. It notes how many claims each write had.
type turnstile struct {
	storetest.Liar
	pass   chan error
	writes []int // written by the one write under way
}

func newTurnstile() *turnstile {
	s := &turnstile{pass: make(chan error)}
	s.Liar = storetest.Liar{Store: storetest.NewMemory(), Before: func(_ context.Context, claims []slashing.Claim) error {
		s.writes = append(s.writes, len(claims))
		return <-s.pass
	}}
	return s
}

// asked is a request for a permit under way.
type asked struct {
	permit slashing.Permit
	err    error
}

func ask(ctx context.Context, g *slashing.Guard, key byte, target uint64, variant byte) *asked {
	a := new(asked)
	go func() { a.permit, a.err = g.Permit(ctx, bls.PublicKey{key}, vote(1, target, variant)) }()
	synctest.Wait() // until it waits for the store, or is done
	return a
}

func TestWhatComesDuringAWriteSharesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTurnstile()
		g := newGuard(store)
		all := []*asked{ask(t.Context(), g, 0, 2, 0)}
		for key := range byte(10) {
			all = append(all, ask(t.Context(), g, key+1, 2, 0))
		}
		for range 2 {
			store.pass <- nil
			synctest.Wait()
		}
		for i, a := range all {
			if a.err != nil || a.permit == (slashing.Permit{}) {
				t.Errorf("request %d: %v", i, a.err)
			}
		}
		if len(store.writes) != 2 || store.writes[0] != 1 || store.writes[1] != 10 {
			t.Errorf("claims in each write: %v, want 1 and 10", store.writes)
		}
	})
}

func TestSecondVoteOfAKeyWaitsForTheWriteAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTurnstile()
		g := newGuard(store)
		first := ask(t.Context(), g, 0, 2, 0)
		vote, other, double, same := ask(t.Context(), g, 1, 2, 0), ask(t.Context(), g, 2, 2, 0), ask(t.Context(), g, 1, 2, 1), ask(t.Context(), g, 1, 2, 0)
		for range 3 { // the double vote needs none: this process remembers
			store.pass <- nil
			synctest.Wait()
		}
		for i, a := range []*asked{first, vote, other, same} {
			if a.err != nil {
				t.Errorf("request %d: %v", i, a.err)
			}
		}
		if !errors.Is(double.err, slashing.ErrRefused) {
			t.Errorf("the double vote: %v", double.err)
		}
		if want := []int{1, 2, 1}; !slices.Equal(store.writes, want) {
			t.Errorf("claims in each write: %v, want %v", store.writes, want)
		}
	})
}

func TestCallerThatLeftIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTurnstile()
		g := slashing.NewGuard(store, 5*time.Second)
		first := ask(t.Context(), g, 0, 2, 0)
		caller, hangUp := context.WithCancel(t.Context())
		hurried, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		gone, late, stays := ask(caller, g, 1, 2, 0), ask(hurried, g, 2, 2, 0), ask(t.Context(), g, 3, 2, 0)
		hangUp()
		<-time.After(2 * time.Second) // of the bubble: less than a write's time is left to the hurried one
		for range 2 {
			store.pass <- nil
			synctest.Wait()
		}
		if first.err != nil || stays.err != nil {
			t.Errorf("the others: %v, %v", first.err, stays.err)
		}
		for name, a := range map[string]*asked{"gone": gone, "late": late} {
			if problem.Of(a.err).Kind != problem.Overloaded {
				t.Errorf("%s: %v", name, a.err)
			}
		}
		if store.writes[1] != 1 {
			t.Errorf("the second write had %d claims, want 1", store.writes[1])
		}
	})
}

func TestFailedWriteFailsItsGroupAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTurnstile()
		g := newGuard(store)
		first, second, third := ask(t.Context(), g, 0, 2, 0), ask(t.Context(), g, 1, 2, 0), ask(t.Context(), g, 2, 2, 0)
		store.pass <- nil
		synctest.Wait()
		later := ask(t.Context(), g, 3, 2, 0)
		store.pass <- slashing.ErrUnavailable
		synctest.Wait()
		store.pass <- nil
		synctest.Wait()
		if first.err != nil || later.err != nil {
			t.Errorf("the groups before and after: %v, %v", first.err, later.err)
		}
		for i, a := range []*asked{second, third} {
			if !errors.Is(a.err, slashing.ErrUnavailable) || a.permit != (slashing.Permit{}) {
				t.Errorf("request %d of the failed group: %v", i, a.err)
			}
		}
	})
}

func TestPermitAll(t *testing.T) {
	store := newTurnstile()
	go func() { store.pass <- nil; store.pass <- nil }()
	g := newGuard(store)
	if _, err := newGuard(store).Permit(t.Context(), bls.PublicKey{2}, vote(1, 2, 7)); err != nil { // another signer's
		t.Fatal(err)
	}
	keys := []bls.PublicKey{{1}, {2}, {3}}
	permits, errs := g.PermitAll(t.Context(), keys, vote(1, 2, 0))
	if errs[0] != nil || errs[2] != nil || !errors.Is(errs[1], slashing.ErrRefused) {
		t.Errorf("errors %v, want the second key alone refused", errs)
	}
	for i, permit := range permits {
		if _, err := permit.Redeem(keys[i]); (err == nil) != (errs[i] == nil) {
			t.Errorf("permit %d: %v", i, err)
		}
	}
	if len(store.writes) != 2 || store.writes[1] != 3 {
		t.Errorf("claims in each write: %v, want 1 and 3", store.writes)
	}
	if _, errs := g.PermitAll(t.Context(), keys, vote(3, 2, 0)); !errors.Is(errs[2], slashing.ErrRefused) {
		t.Errorf("source above target: %v", errs)
	}
}

// TestGroupsRace: what many callers get permitted for a few keys at one time is free of conflicts, by the whole history.
func TestGroupsRace(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "slashing.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	g := newGuard(store)
	writes, votes := 0, 0
	g.OnWrite(func(n int, _ time.Duration, err error) {
		writes, votes = writes+1, votes+n
		if err != nil {
			t.Error(err)
		}
	})
	var mu sync.Mutex
	history := storetest.NewHistory()
	var callers sync.WaitGroup
	for range 32 {
		callers.Go(func() {
			for round := range uint64(20) {
				source, variant := round+rand.Uint64N(3), byte(rand.IntN(2))
				target := source + 1 + rand.Uint64N(3)
				keys := []bls.PublicKey{{byte(rand.IntN(4))}, {4 + byte(rand.IntN(4))}}
				_, errs := g.PermitAll(t.Context(), keys, vote(source, target, variant))
				for i, key := range keys {
					if errs[i] != nil {
						continue
					}
					mu.Lock()
					err := history.Add(key, slashing.Attestation{Source: source, Target: target, Root: vote(source, target, variant).SigningRoot()})
					mu.Unlock()
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	callers.Wait()
	if history.Signed() < 8*5 {
		t.Errorf("only %d votes were permitted", history.Signed())
	}
	if votes < history.Signed() || writes == 0 || writes >= votes {
		t.Errorf("%d votes in %d writes: none was shared", votes, writes)
	}
}
