package postgres_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
)

// keep keeps what a statement of another client's locks, until release is called or the test ends.
func keep(t *testing.T, database, statement string, arguments ...any) (release func()) {
	t.Helper()
	conn, err := shared.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	t.Cleanup(release)
	tx, err := conn.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), statement, arguments...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// both are claims of the keys 0 to n-1 for both kinds, whose height is given.
func both(n int, height uint64) []slashing.Claim {
	claims := make([]slashing.Claim, 0, 2*n)
	for i := range n {
		key := bls.PublicKey{byte(i)}
		claims = append(claims, slashing.Claim{Key: key, Vote: slashing.Block{Slot: height}}, slashing.Claim{Key: key, Vote: slashing.Attestation{Target: height}})
	}
	return claims
}

// TestLockedRow: what somebody keeps of one claim's hinders no other claim of the group, known to the database or new.
func TestLockedRow(t *testing.T) {
	key := bls.PublicKey{7}
	for _, tc := range []struct {
		name, statement string
		late            []int
	}{
		{"a block's row", "SELECT FROM blocks WHERE key = $1 FOR UPDATE", []int{14}},
		{"an attestation's row", "SELECT FROM attestations WHERE key = $1 FOR UPDATE", []int{15}},
		{"a row that is changed", "UPDATE blocks SET root = NULL WHERE key = $1", []int{14}},
		{"both rows", "SELECT FROM attestations AS a JOIN blocks AS b USING (key) WHERE key = $1 FOR UPDATE", []int{14, 15}},
		{"a row beside locks that hinder no vote", `WITH shared AS (SELECT FROM blocks WHERE key <> $1 FOR KEY SHARE), n AS (SELECT count(*) FROM shared)
			SELECT FROM blocks, n WHERE key = $1 FOR UPDATE OF blocks`, []int{14}},
		// Who waits for it cannot be told from others whose keys are new.
		{"a row that is made", "INSERT INTO blocks (key, slot) VALUES (set_byte($1, 0, 13), 1)", []int{20, 21, 22, 23, 24, 25, 26, 27}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			database := newDatabase(t)
			o := options(database)
			o.Timeout = 2 * time.Second
			s := open(t, o)
			if _, err := s.Advance(t.Context(), both(10, 1)); err != nil { // the other four are new
				t.Fatal(err)
			}
			release := keep(t, database, tc.statement, key[:])
			claims := both(14, 2)
			outcomes, err := s.Advance(t.Context(), claims)
			if err != nil {
				t.Fatal(err)
			}
			var late []int
			for i, o := range outcomes {
				switch {
				case errors.Is(o.Err, slashing.ErrUnavailable):
					late = append(late, i)
				case !o.Permits(claims[i].Vote):
					t.Errorf("claim %d: %+v", i, o)
				}
			}
			if !slices.Equal(late, tc.late) {
				t.Errorf("not recorded: %v, want %v", late, tc.late)
			}
			release()
			if outcomes, err = s.Advance(t.Context(), both(14, 3)); err != nil || slices.ContainsFunc(outcomes, func(o slashing.Outcome) bool { return o.Err != nil }) {
				t.Errorf("once it is free: %v, %v", outcomes, err)
			}
		})
	}
}

// TestLockedRowOfALoneClaim: it waits while there is time, and then nothing is recorded.
func TestLockedRowOfALoneClaim(t *testing.T) {
	database := newDatabase(t)
	p := newProxy(t, shared.Address())
	o := plain(p.Address(), database)
	o.Timeout = 2 * time.Second
	s := open(t, o)
	if _, err := s.Advance(t.Context(), both(1, 1)); err != nil {
		t.Fatal(err)
	}
	release := keep(t, database, "SELECT FROM blocks WHERE key = $1 FOR UPDATE", make([]byte, 48))
	claims := both(1, 2)[:1]
	if outcomes, err := s.Advance(within(t, o.Timeout), claims); !errors.Is(err, slashing.ErrUnavailable) {
		t.Errorf("all the time: %v, %v", outcomes, err)
	}
	tries := 0
	p.Spoil(false, func(fromClient bool, data []byte) verdict {
		if writes(fromClient, data) {
			if tries++; tries == 3 {
				release()
			}
		}
		return pass
	})
	outcomes, err := s.Advance(t.Context(), claims)
	p.Spoil(false, nil)
	if err != nil || !outcomes[0].Permits(claims[0].Vote) || tries < 3 {
		t.Errorf("some time: %v, %v after %d tries", outcomes, err, tries)
	}
}

// TestLockedTable: votes wait for what keeps a table longer than one lock may take, alone and together.
func TestLockedTable(t *testing.T) {
	for _, mode := range []string{"SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE"} {
		for name, n := range map[string]int{"a vote": 1, "a group": 20} {
			t.Run(mode+", "+name, func(t *testing.T) {
				database := newDatabase(t)
				p := newProxy(t, shared.Address())
				o := plain(p.Address(), database)
				o.Timeout = time.Second
				s := open(t, o)
				if _, err := s.Advance(t.Context(), both(10, 1)); err != nil {
					t.Fatal(err)
				}
				release := keep(t, database, "LOCK TABLE attestations, blocks IN "+mode+" MODE")
				tries := 0
				p.Spoil(false, func(fromClient bool, data []byte) verdict {
					if writes(fromClient, data) {
						if tries++; tries == 4 {
							release()
						}
					}
					return pass
				})
				claims := both(20, 2)[:n]
				outcomes, err := s.Advance(t.Context(), claims)
				p.Spoil(false, nil)
				if err != nil || tries < 4 {
					t.Fatalf("%v after %d tries", err, tries)
				}
				for i, o := range outcomes {
					if !o.Permits(claims[i].Vote) {
						t.Errorf("claim %d: %+v", i, o)
					}
				}
			})
		}
	}
}

// TestTransactionsWait: what is no vote waits for a lock longer than a vote may, in one try.
func TestTransactionsWait(t *testing.T) {
	database, fresh := newDatabase(t), newDatabase(t)
	o := options(database)
	o.Timeout = time.Second
	s := open(t, o)
	if _, err := s.Advance(t.Context(), both(1, 1)); err != nil {
		t.Fatal(err)
	}
	o.URL = options(fresh).URL
	for _, tc := range []struct {
		name, database, statement string
		work                      func(ctx context.Context) error
	}{
		{"a merge", database, "SELECT FROM blocks FOR UPDATE", func(ctx context.Context) error {
			return s.Merge(ctx, []slashing.Record{{Block: &slashing.Block{Slot: 2}}})
		}},
		{"a schema that another signer makes", fresh, "SELECT pg_advisory_xact_lock(x'636f6e7461696e'::bigint)", func(ctx context.Context) error {
			s, err := postgres.Open(ctx, o)
			if err == nil {
				err = s.Close()
			}
			return err
		}},
	} {
		release := keep(t, tc.database, tc.statement)
		admin, err := shared.Connect(t.Context(), tc.database)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := tc.work(within(t, 20*time.Second)); err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
		}()
		await(t, admin, `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > '1.5 s')`, done)
		release()
		<-done
		_ = admin.Close(t.Context())
	}
}

// TestOrderOfLocks: a group that waits for its lowest key keeps no other row, in whatever order its claims are, so that two groups
// never wait for each other.
func TestOrderOfLocks(t *testing.T) {
	low, high := bls.PublicKey{1}, bls.PublicKey{2}
	for table, vote := range map[string]func(height uint64) slashing.Vote{
		"blocks":       func(h uint64) slashing.Vote { return slashing.Block{Slot: h} },
		"attestations": func(h uint64) slashing.Vote { return slashing.Attestation{Target: h} },
	} {
		database := newDatabase(t)
		o := options(database)
		o.Timeout = time.Minute // nobody stops waiting for a lock before the test lets it go
		s := open(t, o)
		group := func(h uint64) []slashing.Claim {
			return []slashing.Claim{{Key: high, Vote: vote(h)}, {Key: low, Vote: vote(h)}}
		}
		if _, err := s.Advance(t.Context(), group(1)); err != nil {
			t.Fatal(err)
		}
		release := keep(t, database, "SELECT FROM "+table+" WHERE key = $1 FOR UPDATE", low[:])
		done := make(chan struct{})
		go func() {
			defer close(done)
			outcomes, err := s.Advance(t.Context(), group(2))
			if err != nil || !outcomes[0].Permits(vote(2)) || !outcomes[1].Permits(vote(2)) {
				t.Errorf("%s: %v, %v", table, outcomes, err)
			}
		}()
		admin, err := shared.Connect(t.Context(), database)
		if err != nil {
			t.Fatal(err)
		}
		await(t, admin, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted)", done)
		if _, err := admin.Exec(t.Context(), "SELECT FROM "+table+" WHERE key = $1 FOR UPDATE NOWAIT", pgx.QueryExecModeExec, high[:]); err != nil {
			t.Errorf("%s: the higher key while the group waits for the lower: %v", table, err)
		}
		_ = admin.Close(t.Context())
		release()
		<-done
	}
}

// TestSlowCommits: signers whose groups are of the same keys wait for each other's commits, and nothing fails by it.
func TestSlowCommits(t *testing.T) {
	database := newDatabase(t)
	stores := []slashing.Ledger{open(t, options(database)), open(t, options(database))}
	administrate(t, database, `CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER linger AFTER INSERT OR UPDATE ON blocks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
		WHEN (NEW.key = decode(repeat('00', 48), 'hex')) EXECUTE FUNCTION linger()`)
	var voting sync.WaitGroup
	for signer, s := range stores {
		for part := range 2 {
			voting.Go(func() {
				for round := range uint64(10) {
					claims := both(20, round)
					for i, c := range claims {
						if b, ok := c.Vote.(slashing.Block); ok {
							b.Root = eth2.Root{byte(signer), byte(part)}
							claims[i].Vote = b
						}
					}
					outcomes, err := s.Advance(within(t, 5*time.Second), claims)
					if err != nil {
						t.Error(err)
					}
					for i, o := range outcomes {
						if o.Err != nil {
							t.Errorf("claim %d: %v", i, o.Err)
						}
					}
				}
			})
		}
	}
	voting.Wait()
}
