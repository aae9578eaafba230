package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

// hang makes the commits of a store hang as on a disk that has gone, until resume is called. Resumed, they go on to the disk.
func hang(t *testing.T, s *sqlite.Store) (resume func()) {
	t.Helper()
	gone := make(chan struct{})
	s.OnCommit(t, func() int32 { <-gone; return 0 })
	resume = sync.OnceFunc(func() { close(gone) })
	t.Cleanup(resume)
	return resume
}

// TestHangingCommit: callers have their answers at their limits, nobody gets the file, and what was under way lands once the disk answers.
func TestHangingCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sqlite")
	claim := func(slot uint64) []slashing.Claim { return []slashing.Claim{{Vote: slashing.Block{Slot: slot}}} }
	synctest.Test(t, func(t *testing.T) {
		s := open(t, path)
		checkRecorded(t, s, claim(1))
		resume := hang(t, s)
		const limit = 5 * time.Second
		within := func(what string, want error, call func(context.Context) error) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			began := time.Now()
			if err := call(ctx); !errors.Is(err, want) || errors.Is(err, slashing.ErrUnavailable) != (want == slashing.ErrUnavailable) { //nolint:errorlint // one of two
				t.Errorf("%s: %v, want %v", what, err, want)
			}
			if took := time.Since(began); took != limit {
				t.Errorf("%s took %v, want %v", what, took, limit)
			}
		}
		advance := func(slot uint64) func(context.Context) error {
			return func(ctx context.Context) error {
				outcomes, err := s.Advance(ctx, claim(slot))
				if outcomes != nil {
					t.Errorf("outcomes %+v", outcomes)
				}
				return err
			}
		}
		within("the vote whose commit hangs", slashing.ErrOutcomeUnknown, advance(2))
		before := runtime.NumGoroutine()
		for slot := range uint64(20) {
			within("a vote after it", slashing.ErrUnavailable, advance(3+slot))
		}
		within("a check", slashing.ErrUnavailable, s.Check)
		within("a merge", slashing.ErrUnavailable, func(ctx context.Context) error {
			return s.Merge(ctx, []slashing.Record{{Block: &slashing.Block{Slot: 100}}})
		})
		within("a reader", slashing.ErrUnavailable, func(ctx context.Context) error {
			return s.Each(ctx, func(slashing.Record) error { return nil })
		})
		if after := runtime.NumGoroutine(); after > before {
			t.Errorf("%d goroutines, %d before the votes that waited", after, before)
		}

		began := time.Now()
		if err := s.Close(); err == nil || !strings.Contains(err.Error(), path+": the disk has not answered a transaction for 10s; the file stays locked until it does") {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(began); took != sqlite.CloseLimit {
			t.Errorf("Close took %v, want %v", took, sqlite.CloseLimit)
		}
		if _, err := s.Advance(t.Context(), claim(50)); !errors.Is(err, slashing.ErrUnavailable) {
			t.Errorf("a vote after Close: %v", err)
		}
		if got := otherProcess(t, path); !strings.Contains(got, "in use by another process") {
			t.Errorf("another process while a commit may still land says %q", got)
		}
		resume()
		synctest.Wait() // the store is closed now
		if got := otherProcess(t, path); got != "opened: <nil>\n" {
			t.Errorf("another process after that says %q", got)
		}
		if got := onRecord(t, open(t, path)); got != "0:2" {
			t.Errorf("on record %s, want slot 2", got)
		}
	})
}

// TestHangBeforeCommit: what is known not to be committed is said to be so, also if the disk answers later.
func TestHangBeforeCommit(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "s.sqlite"))
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	s.OnChange(t, func() { leave(); <-gone })
	if _, err := s.Advance(ctx, []slashing.Claim{{Vote: slashing.Block{Slot: 1}}}); !errors.Is(err, slashing.ErrUnavailable) {
		t.Errorf("Advance: %v", err)
	}
	close(gone)
	if got := onRecord(t, s); got != "" {
		t.Errorf("on record %s", got)
	}
}

// TestLongCallsStop: a call of many keys ends with its context, and none of it is done.
func TestLongCallsStop(t *testing.T) {
	records, keys, claims := make([]slashing.Record, 100), make([]bls.PublicKey, 100), make([]slashing.Claim, 100)
	for i := range records {
		keys[i] = bls.PublicKey{byte(i)}
		records[i] = slashing.Record{Key: keys[i], Block: &slashing.Block{Slot: 1}}
		claims[i] = slashing.Claim{Key: keys[i], Vote: *records[i].Block}
	}
	for name, call := range map[string]func(context.Context, *sqlite.Store) error{
		"Merge": func(ctx context.Context, s *sqlite.Store) error { return s.Merge(ctx, records) },
		"SetHighWatermark": func(ctx context.Context, s *sqlite.Store) error {
			return s.SetHighWatermark(ctx, keys, slashing.HighWatermark{})
		},
		"Advance": func(ctx context.Context, s *sqlite.Store) error { _, err := s.Advance(ctx, claims); return err },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, filepath.Join(t.TempDir(), "s.sqlite"))
			ctx, leave := context.WithCancel(t.Context())
			var changed atomic.Int32
			s.OnChange(t, func() {
				if changed.Add(1) == 3 {
					leave()
				}
			})
			if err := call(ctx, s); !errors.Is(err, slashing.ErrUnavailable) {
				t.Errorf("%v", err)
			}
			if err := s.Check(t.Context()); err != nil { // after it
				t.Error(err)
			}
			if n := changed.Load(); n != 3 {
				t.Errorf("%d rows were changed, 3 before the context ended", n)
			}
			high, err := s.KeyHighWatermarks(t.Context())
			if got := onRecord(t, s); got != "" || err != nil || len(high) > 0 {
				t.Errorf("on record %q, high watermarks %v, %v", got, high, err)
			}
		})
	}
}

// TestFailedCommit: of a commit that fails nobody knows whether it has reached the disk.
func TestFailedCommit(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "s.sqlite"))
	fails := int32(1)
	s.OnCommit(t, func() int32 { return atomic.LoadInt32(&fails) })
	vote := slashing.Block{Slot: 1}
	for name, call := range map[string]func() error{
		"Advance":          func() error { _, err := s.Advance(t.Context(), []slashing.Claim{{Vote: vote}}); return err },
		"Merge":            func() error { return s.Merge(t.Context(), []slashing.Record{{Block: &vote}}) },
		"Pin":              func() error { return s.Pin(t.Context(), eth2.Root{1}) },
		"SetHighWatermark": func() error { return s.SetHighWatermark(t.Context(), nil, slashing.HighWatermark{}) },
	} {
		if err := call(); !errors.Is(err, slashing.ErrOutcomeUnknown) || errors.Is(err, slashing.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	atomic.StoreInt32(&fails, 0)
	checkRecorded(t, s, []slashing.Claim{{Vote: vote}})
	if diff := cmp.Diff("0:1", onRecord(t, s)); diff != "" {
		t.Error(diff)
	}
}
