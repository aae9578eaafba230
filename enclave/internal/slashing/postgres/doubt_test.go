package postgres_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// TestDoubtOutlivesARefusal: the first try may be on record although the second is refused, so that what hides the record from the
// second must not make it say that nothing was recorded.
func TestDoubtOutlivesARefusal(t *testing.T) {
	database := newDatabase(t)
	p := newProxy(t, shared.Address())
	s := open(t, plain(p.Address(), database))
	key := bls.PublicKey{1}
	if _, err := s.Advance(t.Context(), []slashing.Claim{{Key: key, Vote: slashing.Block{Slot: 6}}}); err != nil {
		t.Fatal(err)
	}
	tries := 0
	p.Spoil(false, func(fromClient bool, data []byte) verdict {
		switch {
		case writes(fromClient, data):
			if tries++; tries == 1 {
				return cutAfter
			}
			if err := shared.Exec(t.Context(), database, "UPDATE blocks SET slot = 99"); err != nil { // another signer's
				t.Error(err)
			}
		case fromClient && data[0] == 'B' && bytes.Contains(data, []byte("\x00standing_")):
			return cut
		}
		return pass
	})
	outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Key: key, Vote: slashing.Block{Slot: 7}}})
	p.Spoil(false, nil)
	if err != nil || tries != 2 {
		t.Fatalf("%v, %v after %d tries", outcomes, err, tries)
	}
	if err := outcomes[0].Err; !errors.Is(err, slashing.ErrOutcomeUnknown) || errors.Is(err, slashing.ErrUnavailable) {
		t.Errorf("%v, want an unknown outcome", err)
	}
}

// TestCommitThatIsCut: the server may have committed what it did not answer.
func TestCommitThatIsCut(t *testing.T) {
	database := newDatabase(t)
	p := newProxy(t, shared.Address())
	s := open(t, plain(p.Address(), database))
	key := bls.PublicKey{1}
	p.Spoil(false, func(fromClient bool, data []byte) verdict {
		if fromClient && bytes.Contains(data, []byte("commit\x00")) {
			return cutAfter
		}
		return pass
	})
	err := s.Merge(t.Context(), []slashing.Record{{Key: key, Block: &slashing.Block{Slot: 7, Root: eth2.Root{7}}}})
	p.Spoil(false, nil)
	if !errors.Is(err, slashing.ErrOutcomeUnknown) || errors.Is(err, slashing.ErrUnavailable) {
		t.Errorf("%v, want an unknown outcome", err)
	}
	for limit := within(t, 10*time.Second); truth(t, database, key) != 7; { // the commit is let through, and takes its time
		if limit.Err() != nil {
			t.Fatal("the commit never came")
		}
	}
}

// TestSilentServerGivesItsPlaceBack: a connection whose checks are never answered leaves the pool.
func TestSilentServerGivesItsPlaceBack(t *testing.T) {
	p := newProxy(t, shared.Address())
	o := plain(p.Address(), newDatabase(t))
	o.PoolSize, o.Timeout = 2, 2*time.Second
	s := open(t, o)
	p.Spoil(false, func(fromClient bool, data []byte) verdict {
		if fromClient && bytes.Contains(data, []byte("pg_is_in_recovery")) {
			return swallow
		}
		return pass
	})
	p.CloseAll()
	claims := []slashing.Claim{{Vote: slashing.Block{Slot: 1}}}
	if outcomes, err := s.Advance(within(t, time.Second), claims); err == nil {
		t.Fatalf("recorded %v", outcomes)
	}
	p.Spoil(false, nil)
	if outcomes, err := s.Advance(within(t, 20*time.Second), claims); err != nil || outcomes[0].Standing != claims[0].Vote {
		t.Errorf("once it speaks again: %v, %v", outcomes, err)
	}
}
