package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// TestStopped: a server that hangs gives errors in time, and all is well once it goes on.
func TestStopped(t *testing.T) {
	s := open(t, options(newDatabase(t)))
	claims := []slashing.Claim{{Vote: slashing.Block{Slot: 1}}}
	if _, err := s.Advance(t.Context(), claims); err != nil {
		t.Fatal(err)
	}
	if err := shared.Pause(); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() { _ = shared.Resume() })
	claims[0].Vote = slashing.Block{Slot: 2}
	if outcomes, err := s.Advance(within(t, 500*time.Millisecond), claims); !errors.Is(err, slashing.ErrOutcomeUnknown) {
		t.Errorf("while it hangs: %v, %v", outcomes, err)
	}
	if outcomes, err := s.Advance(within(t, 500*time.Millisecond), claims); err == nil {
		t.Errorf("while it still hangs: %v", outcomes)
	}
	if err := s.Check(within(t, 100*time.Millisecond)); !errors.Is(err, slashing.ErrUnavailable) {
		t.Errorf("Check while it hangs: %v", err)
	}
	if err := shared.Resume(); err != nil {
		t.Error(err)
	}
	if outcomes, err := s.Advance(within(t, 5*time.Second), claims); err != nil || outcomes[0].Standing != claims[0].Vote {
		t.Errorf("when it goes on: %v, %v", outcomes, err)
	}
}

// TestTerminated: an administrator ends every connection, again and again.
func TestTerminated(t *testing.T) {
	database := newDatabase(t)
	s := open(t, options(database))
	admin, err := shared.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	for slot := range uint64(30) {
		if _, err := admin.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database); err != nil {
			t.Fatal(err)
		}
		if slot%2 == 0 {
			if err := s.Check(t.Context()); err != nil {
				t.Errorf("slot %d: Check: %v", slot, err)
			}
		}
		vote := slashing.Block{Slot: slot}
		claims := []slashing.Claim{{Vote: vote}}
		outcomes, err := s.Advance(t.Context(), claims)
		if errors.Is(err, slashing.ErrOutcomeUnknown) { // a connection that came back was ended too
			outcomes, err = s.Advance(t.Context(), claims)
		}
		if err != nil || outcomes[0].Standing != vote {
			t.Fatalf("slot %d: %v, %v", slot, outcomes, err)
		}
	}
}
