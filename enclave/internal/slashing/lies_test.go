package slashing_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// lie makes of a store one that answers a group of three claims wrongly, and says how many of them it has recorded.
type lie struct {
	name   string
	stored int
	is     error
	tell   func(*storetest.Liar)
}

func lies() []lie {
	broken := errors.New("connection reset by a test")
	before := func(f func(ctx context.Context, store slashing.Store, claims []slashing.Claim) error) func(*storetest.Liar) {
		return func(l *storetest.Liar) {
			l.Before = func(ctx context.Context, claims []slashing.Claim) error { return f(ctx, l.Store, claims) }
		}
	}
	after := func(f func([]slashing.Outcome) ([]slashing.Outcome, error)) func(*storetest.Liar) {
		return func(l *storetest.Liar) {
			l.After = func(outcomes []slashing.Outcome, err error) ([]slashing.Outcome, error) {
				if err != nil {
					return nil, err
				}
				return f(outcomes)
			}
		}
	}
	return []lie{
		{"an error, none stored", 0, slashing.ErrOutcomeUnknown, before(func(context.Context, slashing.Store, []slashing.Claim) error { return broken })},
		{"an error, one stored", 1, slashing.ErrOutcomeUnknown, before(func(ctx context.Context, s slashing.Store, claims []slashing.Claim) error {
			_, err := s.Advance(ctx, claims[:1])
			return errors.Join(broken, err)
		})},
		{"an error, all stored", 3, slashing.ErrOutcomeUnknown, after(func([]slashing.Outcome) ([]slashing.Outcome, error) { return nil, broken })},
		{"an error beside the outcomes", 3, slashing.ErrOutcomeUnknown, after(func(o []slashing.Outcome) ([]slashing.Outcome, error) { return o, broken })},
		{"unavailable, all stored", 3, slashing.ErrUnavailable, after(func([]slashing.Outcome) ([]slashing.Outcome, error) { return nil, slashing.ErrUnavailable })},
		{"no outcomes", 3, slashing.ErrOutcomeUnknown, after(func([]slashing.Outcome) ([]slashing.Outcome, error) { return nil, nil })},
		{"too few outcomes", 3, slashing.ErrOutcomeUnknown, after(func(o []slashing.Outcome) ([]slashing.Outcome, error) { return o[:2], nil })},
		{"too many outcomes", 3, slashing.ErrOutcomeUnknown, after(func(o []slashing.Outcome) ([]slashing.Outcome, error) { return append(o, o[0]), nil })},
		{"empty outcomes", 3, slashing.ErrOutcomeUnknown, after(func(o []slashing.Outcome) ([]slashing.Outcome, error) { return make([]slashing.Outcome, len(o)), nil })},
	}
}

// TestGroupLies: whatever a store says of a group, no permit comes of it, and after a restart what it has recorded holds.
func TestGroupLies(t *testing.T) {
	for _, tc := range lies() {
		for _, restart := range []string{"carry on", "restart"} {
			t.Run(tc.name+", "+restart, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "slashing.sqlite")
				store := openStore(t, path)
				liar := &storetest.Liar{Store: store}
				tc.tell(liar)
				g := newGuard(liar)
				var told error
				g.OnWrite(func(votes int, _ time.Duration, err error) {
					if votes != 3 {
						t.Errorf("a group of %d", votes)
					}
					told = err
				})
				keys := []bls.PublicKey{{1}, {2}, {3}}
				permits, errs := g.PermitAll(t.Context(), keys, vote(5, 6, 0))
				for i := range keys {
					if problem.Of(errs[i]).Kind != problem.StoreUnavailable || !errors.Is(errs[i], tc.is) || permits[i] != (slashing.Permit{}) {
						t.Errorf("key %d: %v, want %v", i, errs[i], tc.is)
					}
				}
				if told == nil && tc.name != "empty outcomes" {
					t.Error("OnWrite was not told of the failure")
				}
				if restart == "restart" {
					if err := store.Close(); err != nil {
						t.Fatal(err)
					}
					store = openStore(t, path)
				}
				g = newGuard(store) // which is honest
				for i, key := range keys {
					conflict, identical := "", "double vote"
					if i < tc.stored {
						conflict, identical = identical, conflict
					}
					checkPermit(t, g, key, vote(5, 6, 1), problem.Slashable, conflict)
					checkPermit(t, g, key, vote(5, 6, 0), problem.Slashable, identical)
				}
			})
		}
	}
}

func openStore(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// TestStoreAnswersLate: a group that is recorded, although the store took longer than it may, is permitted, because it is on record.
func TestStoreAnswersLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended <-chan struct{}
		g := slashing.NewGuard(&storetest.Liar{
			Store:  storetest.NewMemory(),
			Before: func(ctx context.Context, _ []slashing.Claim) error { ended = ctx.Done(); return nil },
			After:  func(o []slashing.Outcome, err error) ([]slashing.Outcome, error) { <-ended; return o, err },
		}, 3*time.Second)
		keys := []bls.PublicKey{{1}, {2}}
		permits, errs := g.PermitAll(t.Context(), keys, vote(5, 6, 0))
		for i, permit := range permits {
			if _, err := permit.Redeem(keys[i]); err != nil || errs[i] != nil {
				t.Errorf("key %d: %v, %v", i, err, errs[i])
			}
		}
		if _, err := g.Permit(t.Context(), keys[0], vote(5, 6, 1)); !errors.Is(err, slashing.ErrRefused) {
			t.Errorf("the conflicting vote: %v", err)
		}
	})
}
