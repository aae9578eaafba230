package dynamodb_test

import (
	"context"
	"net/http/httptrace"
	"slices"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb"
)

func denied() deed { return fail(400, "AccessDeniedException", "not now") }

// void is a failed condition, of a service that does not tell what is on record.
func void() deed {
	return fail(400, "ConditionalCheckFailedException", "The conditional request failed")
}

// script has the updates spoiled in this order, and passes on those after them.
func script(deeds ...deed) func(int) deed {
	return func(n int) deed {
		if n > len(deeds) {
			return pass()
		}
		return deeds[n-1]
	}
}

// TestDoubtStays: once an update was sent whose answer was lost, no failure after it says that nothing was recorded; without one, each
// says so.
func TestDoubtStays(t *testing.T) {
	key, vote := bls.PublicKey{1}, attestation(5, 1)
	high := slashing.HighWatermark{Slot: 4, Epoch: 5}
	all := func(ctx context.Context, s *dynamodb.Store) error { return s.SetHighWatermark(ctx, nil, high) }
	one := func(ctx context.Context, s *dynamodb.Store) error {
		return s.SetHighWatermark(ctx, []bls.PublicKey{key}, high)
	}
	merge := func(ctx context.Context, s *dynamodb.Store) error {
		return s.Merge(ctx, []slashing.Record{{Key: key, Attestation: &vote}})
	}
	advance := func(ctx context.Context, s *dynamodb.Store) error {
		outcomes, err := s.Advance(ctx, []slashing.Claim{{Key: key, Vote: vote}})
		if err == nil {
			err = outcomes[0].Err
		}
		return err
	}
	pin := func(ctx context.Context, s *dynamodb.Store) error { return s.Pin(ctx, eth2.Root{1}) }
	for _, tc := range []struct {
		name       string
		call       func(context.Context, *dynamodb.Store) error
		updates    []deed
		unreadable bool // after the first update
		want       error
	}{
		{"limit of all keys: lost, then unreadable", all, []deed{loseAnswer()}, true, slashing.ErrOutcomeUnknown},
		{"limit of all keys: lost, then denied", all, []deed{loseAnswer(), pass(), denied()}, false, slashing.ErrOutcomeUnknown},
		{"limit of all keys: void, then unreadable", all, []deed{void()}, true, slashing.ErrUnavailable},
		{"limit of all keys: denied", all, []deed{denied()}, false, slashing.ErrUnavailable},
		{"limit of a key: lost, then unreadable", one, []deed{loseAnswer()}, true, slashing.ErrOutcomeUnknown},
		{"limit of a key: lost, then denied", one, []deed{loseAnswer(), pass(), denied()}, false, slashing.ErrOutcomeUnknown},
		{"limit of a key: denied", one, []deed{denied()}, false, slashing.ErrUnavailable},
		{"merge: lost, then unreadable", merge, []deed{loseAnswer()}, true, slashing.ErrOutcomeUnknown},
		{"merge: lost, then void, then denied", merge, []deed{lose(), void(), denied()}, false, slashing.ErrOutcomeUnknown},
		{"merge: void, then unreadable", merge, []deed{void()}, true, slashing.ErrUnavailable},
		{"vote: lost, then unreadable", advance, []deed{loseAnswer(), void()}, true, slashing.ErrOutcomeUnknown},
		{"vote: void, then unreadable", advance, []deed{void()}, true, slashing.ErrUnavailable},
		{"pin: lost, then another store", pin, []deed{loseAnswer(), void()}, false, slashing.ErrOutcomeUnknown},
		{"pin: another store", pin, []deed{void()}, false, slashing.ErrUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, store, _ := through(t)
			updated, updates := false, script(tc.updates...)
			p.spoil(func(operation string, n int) deed {
				switch {
				case operation == "UpdateItem":
					updated = true
					return updates(n)
				case updated && tc.unreadable:
					return denied()
				}
				return pass()
			})
			checkError(t, tc.call(t.Context(), store), tc.want)
			p.spoil(nil)
			if err := tc.call(t.Context(), store); err != nil {
				t.Errorf("the same again: %v", err)
			}
		})
	}
}

// TestDoubtAboveLimit: a vote whose answer was lost, and that is above a high watermark when it is sent again, may have been recorded
// by this very call.
func TestDoubtAboveLimit(t *testing.T) {
	p, store, truth := through(t)
	key := bls.PublicKey{1}
	lower := pass()
	lower.wait = func() {
		if err := truth.SetHighWatermark(t.Context(), []bls.PublicKey{key}, slashing.HighWatermark{}); err != nil {
			t.Error(err)
		}
	}
	updates := script(loseAnswer(), lower)
	p.spoil(func(operation string, n int) deed {
		if operation == "UpdateItem" {
			return updates(n)
		}
		return denied()
	})
	_, err := store.Advance(t.Context(), []slashing.Claim{{Key: key, Vote: attestation(5, 1)}})
	checkError(t, err, slashing.ErrOutcomeUnknown)
}

// TestRefusedWithLimitUnreadable: a vote above its key's high watermark is told so, whatever that of all keys is.
func TestRefusedWithLimitUnreadable(t *testing.T) {
	p, store, truth := through(t)
	key, high := bls.PublicKey{1}, slashing.HighWatermark{Slot: 2, Epoch: 3}
	if err := truth.SetHighWatermark(t.Context(), []bls.PublicKey{key}, high); err != nil {
		t.Fatal(err)
	}
	p.spoil(func(operation string, _ int) deed {
		if operation == "GetItem" {
			return denied()
		}
		return pass()
	})
	outcomes, err := store.Advance(t.Context(), []slashing.Claim{{Key: key, Vote: attestation(5, 1)}})
	if err != nil || outcomes[0].Err != nil || outcomes[0].Above == nil || *outcomes[0].Above != high {
		t.Errorf("%+v, %v", outcomes, err)
	}
}

// TestMergeEnds: a merge whose context ends between two requests does not say that it is done.
func TestMergeEnds(t *testing.T) {
	one, two := bls.PublicKey{1}, bls.PublicKey{2}
	for _, tc := range []struct {
		name   string
		after  int // answers
		want   error
		merged []bls.PublicKey
	}{
		{"after the read of the store", 1, slashing.ErrUnavailable, nil},
		{"after the read of a key", 2, slashing.ErrUnavailable, nil},
		{"after the update of a key", 3, slashing.ErrOutcomeUnknown, []bls.PublicKey{one}},
		{"after all", 5, nil, []bls.PublicKey{one, two}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, store, truth := through(t, func(o *dynamodb.Options) { o.Concurrency = 1 })
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			answers := 0
			// A connection is given back before its answer is.
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{PutIdleConn: func(error) {
				if answers++; answers == tc.after {
					cancel()
				}
			}})
			block := &slashing.Block{Slot: 1}
			checkError(t, store.Merge(ctx, []slashing.Record{{Key: one, Block: block}, {Key: two, Block: block}}), tc.want)
			var merged []bls.PublicKey
			err := truth.Each(t.Context(), func(r slashing.Record) error {
				merged = append(merged, r.Key)
				return nil
			})
			if err != nil || !slices.Equal(merged, tc.merged) {
				t.Errorf("merged %v, %v; want %v", merged, err, tc.merged)
			}
		})
	}
}
