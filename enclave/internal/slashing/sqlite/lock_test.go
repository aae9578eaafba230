package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// TestEndedContextsKeepTheConnection, and with it the file's lock: callers go at any moment of a call. A temporary table is
// gone once its connection is.
func TestEndedContextsKeepTheConnection(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "s.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := s.db.ExecContext(t.Context(), "CREATE TEMP TABLE mark (x)"); err != nil {
		t.Fatal(err)
	}
	for slot := range uint64(300) {
		ctx, hangUp := context.WithCancel(t.Context())
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			for range rand.IntN(2000) {
				runtime.Gosched()
			}
			hangUp()
		}()
		claims := make([]slashing.Claim, 8)
		for i := range claims {
			claims[i] = slashing.Claim{Key: bls.PublicKey{byte(i)}, Vote: slashing.Block{Slot: slot}}
		}
		outcomes, err := s.Advance(ctx, claims)
		known := err == nil || errors.Is(err, slashing.ErrUnavailable) || errors.Is(err, slashing.ErrOutcomeUnknown)
		if !known || err == nil && outcomes[7].Standing != claims[7].Vote {
			t.Errorf("slot %d: %v, %v", slot, outcomes, err)
		}
		if err := s.Check(ctx); err != nil && !errors.Is(err, slashing.ErrUnavailable) {
			t.Errorf("slot %d: Check: %v", slot, err)
		}
		<-gone
	}
	if err := s.db.QueryRowContext(t.Context(), "SELECT count(*) FROM temp.mark").Scan(new(int)); err != nil {
		t.Errorf("the connection was lost: %v", err)
	}
}

// TestLostConnection: a connection that broke is replaced by one with the same durability, the lock and parsed statements.
func TestLostConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sqlite")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	first, second := slashing.Block{Slot: 1}, slashing.Block{Slot: 2}
	if outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Vote: first}}); err != nil || outcomes[0].Standing != first {
		t.Fatal(outcomes, err)
	}
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
		t.Fatal(err)
	}
	_ = conn.Close()
	if outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Vote: second}}); err != nil || outcomes[0].Standing != second {
		t.Errorf("after the loss: %v, %v", outcomes, err)
	}
	if err := prepare(t.Context(), s.db); err != nil {
		t.Errorf("after the loss: %v", err)
	}
	if other, err := Open(t.Context(), path); !errors.Is(err, ErrInUse) {
		t.Errorf("the lock was lost: %v, %v", other, err)
	}
}

// TestCloseDuringWrites: a store that is closed during writes closes after them, and refuses the rest.
func TestCloseDuringWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sqlite")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	var recorded [16]slashing.Vote // the last of each writer
	var writers sync.WaitGroup
	begun := make(chan struct{}, len(recorded))
	for i := range recorded {
		writers.Go(func() {
			for slot := uint64(0); ; slot++ {
				vote := slashing.Block{Slot: slot}
				outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Key: bls.PublicKey{byte(i)}, Vote: vote}})
				if err != nil {
					if !errors.Is(err, slashing.ErrUnavailable) {
						t.Errorf("writer %d: %v", i, err)
					}
					return
				}
				if recorded[i] = outcomes[0].Standing; slot == 3 {
					begun <- struct{}{}
				}
			}
		})
	}
	for range recorded {
		<-begun
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	writers.Wait()
	if s, err = Open(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for i, vote := range recorded {
		outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Key: bls.PublicKey{byte(i)}, Vote: slashing.Block{}}})
		if err != nil || outcomes[0].Standing != vote {
			t.Errorf("writer %d: on record %v (%v), want %v", i, outcomes, err, vote)
		}
	}
}
