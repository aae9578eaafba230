package postgres_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
)

// truth is the slot on record for a key, behind the store's back; -1 if there is none.
func truth(t *testing.T, database string, key bls.PublicKey) int64 {
	t.Helper()
	conn, err := shared.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	slot := int64(-1)
	err = conn.QueryRow(t.Context(), "SELECT slot FROM blocks WHERE key = $1", key[:]).Scan(&slot)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatal(err)
	}
	return slot
}

// within is a context for one write whose answer may never come.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestFaults spoils the connection at each moment of a commit. What the store says must be true, and once the fault is gone
// the same vote is recorded, whatever became of it before.
func TestFaults(t *testing.T) {
	acts := func(v verdict, when func(fromClient bool, data []byte) bool) func(bool, []byte) verdict {
		return func(fromClient bool, data []byte) verdict {
			if when(fromClient, data) {
				return v
			}
			return pass
		}
	}
	// answers sees a DataRow of a write: such a message begins what the server sends back.
	answers := func(fromClient bool, data []byte) bool { return !fromClient && data[0] == '2' }
	for _, tc := range []struct {
		name     string
		fault    func(bool, []byte) verdict
		recorded bool // by the writes that failed
	}{
		{"cut before the server gets it", acts(cut, writes), false},
		{"cut after the server got it", acts(cutAfter, writes), true},
		{"cut before the answer", acts(cut, answers), true},
		{"half-open: the server never gets it", acts(swallow, writes), false},
		{"half-open: the answer never comes", acts(swallowBack, writes), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			database := newDatabase(t)
			p := newProxy(t, shared.Address())
			s := open(t, plain(p.Address(), database))
			key, vote := bls.PublicKey{1}, slashing.Block{Slot: 7, Root: eth2.Root{7}}
			claims := []slashing.Claim{{Key: key, Vote: vote}}
			if _, err := s.Advance(t.Context(), []slashing.Claim{{Key: key, Vote: slashing.Block{Slot: 6}}}); err != nil {
				t.Fatal(err)
			}
			p.Spoil(false, tc.fault)
			outcomes, err := s.Advance(within(t, time.Second), claims)
			if !errors.Is(err, slashing.ErrOutcomeUnknown) || errors.Is(err, slashing.ErrUnavailable) || outcomes != nil {
				t.Errorf("with the fault: %v, %v", outcomes, err)
			}
			p.Spoil(false, nil)
			p.CloseAll()
			if !tc.recorded && truth(t, database, key) != 6 {
				t.Error("the test did not keep the write from the server")
			}
			outcomes, err = s.Advance(within(t, 5*time.Second), claims)
			if err != nil || outcomes[0].Standing != vote {
				t.Errorf("sent again by the caller: %v, %v", outcomes, err)
			}
			other := slashing.Block{Slot: 7, Root: eth2.Root{8}}
			if outcomes, err = s.Advance(t.Context(), []slashing.Claim{{Key: key, Vote: other}}); err != nil || outcomes[0].Standing != vote {
				t.Errorf("another vote of that slot: %v, %v", outcomes, err)
			}
		})
	}
}

// TestCutOnce: a vote whose connection is lost once is sent again, and nobody notices.
func TestCutOnce(t *testing.T) {
	for name, v := range map[string]verdict{"before the server gets it": cut, "after the server got it": cutAfter} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, shared.Address())
			s := open(t, plain(p.Address(), newDatabase(t)))
			var cuts atomic.Int32
			p.Spoil(false, func(fromClient bool, data []byte) verdict {
				if writes(fromClient, data) && cuts.Add(1) == 1 {
					return v
				}
				return pass
			})
			vote := slashing.Attestation{Source: 1, Target: 2}
			outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Vote: vote}})
			if err != nil || outcomes[0].Standing != vote || cuts.Load() != 2 {
				t.Errorf("%v, %v after %d tries", outcomes, err, cuts.Load())
			}
		})
	}
}

// TestCutAnywhere cuts after every number of bytes in both directions, with no way to connect again, and compares what the store
// says with what is on record.
func TestCutAnywhere(t *testing.T) {
	database := newDatabase(t)
	p := newProxy(t, shared.Address())
	s := open(t, plain(p.Address(), database))
	var said [3]int
	slot := int64(0)
	for _, client := range []bool{true, false} {
		for left := 0; left < 260; left += 4 {
			slot++
			before := slot - 1
			key := bls.PublicKey{byte(slot), byte(slot >> 8)}
			p.Spoil(false, nil)
			if _, err := s.Advance(t.Context(), []slashing.Claim{{Key: key, Vote: slashing.Block{Slot: uint64(before)}}}); err != nil {
				t.Fatal(err)
			}
			budget := left
			p.Spoil(true, func(fromClient bool, data []byte) verdict {
				if fromClient != client || budget < 0 {
					return pass
				}
				if budget -= len(data); budget < 0 {
					return cut
				}
				return pass
			})
			vote := slashing.Block{Slot: uint64(slot)}
			outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Key: key, Vote: vote}})
			p.CloseAll()
			on := truth(t, database, key)
			switch {
			case err == nil && outcomes[0].Err == nil && outcomes[0].Standing == vote:
				said[0]++
				if on != slot {
					t.Errorf("cut after %d bytes (client %v): recorded, but %d is", left, client, on)
				}
			case errors.Is(err, slashing.ErrUnavailable):
				said[1]++
				if on != before {
					t.Errorf("cut after %d bytes (client %v): %v, but %d is on record", left, client, err, on)
				}
			case errors.Is(err, slashing.ErrOutcomeUnknown):
				said[2]++
			default:
				t.Errorf("cut after %d bytes (client %v): %v, %v", left, client, outcomes, err)
			}
		}
	}
	t.Logf("recorded, not recorded, unknown: %v", said)
	if said[0] == 0 || said[2] == 0 {
		t.Errorf("recorded, not recorded, unknown: %v: the test tries too little", said)
	}
}

// TestCommitFails: rows have come back before the server refuses the commit, so that none of them may be believed.
func TestCommitFails(t *testing.T) {
	database := newDatabase(t)
	s := open(t, options(database))
	if err := shared.Exec(t.Context(), database,
		`CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$`,
		`CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON blocks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.slot = 13) EXECUTE FUNCTION no()`,
	); err != nil {
		t.Fatal(err)
	}
	claims := make([]slashing.Claim, 20)
	for i := range claims {
		claims[i] = slashing.Claim{Key: bls.PublicKey{byte(i)}, Vote: slashing.Block{Slot: uint64(i)}}
	}
	outcomes, err := s.Advance(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range outcomes {
		if failed := errors.Is(o.Err, slashing.ErrUnavailable); failed != (i == 13) || !failed && o.Standing != claims[i].Vote {
			t.Errorf("claim %d: %+v", i, o)
		}
	}
	if on := truth(t, database, claims[13].Key); on != -1 {
		t.Errorf("%d is on record", on)
	}
}

// TestConflictsAreSentAgain: what the server rolls back for another transaction is no failure.
func TestConflictsAreSentAgain(t *testing.T) {
	for _, code := range []string{"40001", "40P01"} {
		database := newDatabase(t)
		s := open(t, options(database))
		if err := shared.Exec(t.Context(), database, "CREATE SEQUENCE tries", "GRANT ALL ON SEQUENCE tries TO signer",
			`CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('tries') <= 3 THEN RAISE EXCEPTION 'busy' USING ERRCODE = '`+code+`'; END IF; RETURN NEW; END $$`,
			`CREATE TRIGGER busy BEFORE INSERT OR UPDATE ON blocks FOR EACH ROW EXECUTE FUNCTION busy()`,
		); err != nil {
			t.Fatal(err)
		}
		vote := slashing.Block{Slot: 1}
		if outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Vote: vote}}); err != nil || outcomes[0].Standing != vote {
			t.Errorf("%s: %v, %v", code, outcomes, err)
		}
	}
}

// TestFaultOfTheCaller: what one statement cannot hold is refused whole.
func TestFaultOfTheCaller(t *testing.T) {
	s := open(t, options(newDatabase(t)))
	vote := slashing.Block{Slot: 1}
	for name, claims := range map[string][]slashing.Claim{
		"two claims for one record": {{Vote: vote}, {Key: bls.PublicKey{1}, Vote: vote}, {Vote: slashing.Block{Slot: 2}}},
		"no vote":                   {{Vote: vote}, {Key: bls.PublicKey{1}}},
	} {
		if outcomes, err := s.Advance(t.Context(), claims); !errors.Is(err, slashing.ErrUnavailable) || outcomes != nil {
			t.Errorf("%s: %v, %v", name, outcomes, err)
		}
	}
	if outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Vote: slashing.Block{}}}); err != nil || outcomes[0].Standing != (slashing.Block{}) {
		t.Errorf("afterwards: %v, %v", outcomes, err)
	}
}

var _ slashing.Ledger = (*postgres.Store)(nil)
