package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// holdBlocks has every write of a block wait, in the middle of its statement, until release is called.
func holdBlocks(t *testing.T, database string) (admin *pgx.Conn, release func()) {
	t.Helper()
	administrate(t, database,
		`CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$`,
		`CREATE TRIGGER hold BEFORE INSERT OR UPDATE ON blocks FOR EACH ROW EXECUTE FUNCTION hold()`)
	admin, err := shared.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close(context.WithoutCancel(t.Context())) })
	do := func(statement string) {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Error(err)
		}
	}
	do("SELECT pg_advisory_lock(1)")
	return admin, func() { do("SELECT pg_advisory_unlock(1)") }
}

// await returns once a query gives true, or what it waits for can no longer come.
func await(t *testing.T, conn *pgx.Conn, query string, over <-chan struct{}) {
	t.Helper()
	for done := false; !done; {
		select {
		case <-over:
			t.Fatal("it ended before it could wait")
		default:
		}
		if err := conn.QueryRow(t.Context(), query).Scan(&done); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHighWatermarkWaitsForVotesUnderWay: it is set once those that began before have ended, and those that began while it waited
// see it, although their statements were on their way before it was set.
func TestHighWatermarkWaitsForVotesUnderWay(t *testing.T) {
	database := newDatabase(t)
	o := options(database)
	o.Timeout = time.Minute // nobody stops waiting for a lock before the test lets it go
	s, other := open(t, o), open(t, o)
	admin, release := holdBlocks(t, database)
	high := slashing.HighWatermark{Slot: 4, Epoch: slashing.MaxHeight}
	advance := func(key byte) (*slashing.Outcome, chan struct{}) {
		outcome, done := new(slashing.Outcome), make(chan struct{})
		go func() {
			defer close(done)
			outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Key: bls.PublicKey{key}, Vote: slashing.Block{Slot: 5}}})
			if err != nil {
				t.Error(err)
				return
			}
			*outcome = outcomes[0]
		}()
		return outcome, done
	}
	before, beforeDone := advance(1)
	await(t, admin, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)", beforeDone)
	set := make(chan struct{})
	go func() {
		defer close(set)
		if err := other.SetHighWatermark(t.Context(), nil, high); err != nil {
			t.Error(err)
		}
	}()
	await(t, admin, "SELECT EXISTS (SELECT FROM pg_locks WHERE mode = 'ShareRowExclusiveLock' AND NOT granted)", set)
	during, duringDone := advance(2)
	await(t, admin, "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'blocks'::regclass AND mode = 'RowExclusiveLock' AND NOT granted)", duringDone)
	release()
	<-beforeDone
	<-set
	<-duringDone
	if vote := (slashing.Block{Slot: 5}); !before.Permits(vote) || during.Permits(vote) || during.Above == nil || *during.Above != high || during.Standing != nil {
		t.Errorf("under way before: %+v; begun while it waited: %+v", before, during)
	}
}

// TestHighWatermarkGivesWay: it does not keep signers from writing for longer than a vote may take, and is set in the end.
func TestHighWatermarkGivesWay(t *testing.T) {
	database := newDatabase(t)
	o := options(database)
	s := open(t, o)
	o.Timeout = 2 * time.Second
	impatient := open(t, o)
	admin, err := shared.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	merge, err := admin.Begin(t.Context())
	if err == nil {
		_, err = merge.Exec(t.Context(), "LOCK TABLE attestations IN ROW EXCLUSIVE MODE")
	}
	if err != nil {
		t.Fatal(err)
	}
	set := make(chan struct{})
	go func() {
		defer close(set)
		if err := impatient.SetHighWatermark(t.Context(), nil, slashing.HighWatermark{}); err != nil {
			t.Error(err)
		}
	}()
	await(t, admin, "SELECT EXISTS (SELECT FROM pg_locks WHERE mode = 'ShareRowExclusiveLock' AND NOT granted)", set)
	vote := slashing.Attestation{Target: 1}
	if outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Vote: vote}}); err != nil || !outcomes[0].Permits(vote) {
		t.Errorf("a vote while the high watermark waits: %v, %v", outcomes, err)
	}
	if err := impatient.SetHighWatermark(within(t, time.Second), nil, slashing.HighWatermark{}); !errors.Is(err, slashing.ErrUnavailable) {
		t.Errorf("as long as others hold the tables: %v", err)
	}
	if err := merge.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	<-set
	if outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Vote: vote}}); err != nil || outcomes[0].Above == nil {
		t.Errorf("the same vote afterwards: %v, %v", outcomes, err)
	}
}

// TestHighWatermarkAmongWriters: setters, mergers and signers of the same keys wait for each other, and never in a circle.
func TestHighWatermarkAmongWriters(t *testing.T) {
	database, ctx := newDatabase(t), within(t, time.Minute)
	keys := make([]bls.PublicKey, 20)
	claims := make([]slashing.Claim, 0, 2*len(keys))
	records := make([]slashing.Record, len(keys))
	for i := range keys {
		keys[i] = bls.PublicKey{byte(len(keys) - i)}
		claims = append(claims, slashing.Claim{Key: keys[i], Vote: slashing.Block{Slot: 1}}, slashing.Claim{Key: keys[i], Vote: slashing.Attestation{Target: 1}})
		records[i] = slashing.Record{Key: keys[i], Block: &slashing.Block{Slot: 1}, Attestation: &slashing.Attestation{Target: 1}}
	}
	var working sync.WaitGroup
	stores := []slashing.Ledger{open(t, options(database)), open(t, options(database))}
	for _, s := range stores {
		for name, work := range map[string]func() error{
			"set":     func() error { return s.SetHighWatermark(ctx, keys, slashing.HighWatermark{Slot: 9, Epoch: 9}) },
			"set all": func() error { return s.SetHighWatermark(ctx, nil, slashing.HighWatermark{Slot: 8, Epoch: 8}) },
			"remove":  func() error { return s.SetHighWatermark(ctx, keys[3:], slashing.NoHighWatermark()) },
			"merge":   func() error { return s.Merge(ctx, records) },
			"advance": func() error { _, err := s.Advance(ctx, claims); return err },
			"read":    func() error { _, err := s.KeyHighWatermarks(ctx); return err },
		} {
			working.Go(func() {
				for range 10 {
					if err := work(); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
		}
	}
	working.Wait()
	for _, s := range stores {
		_ = s.Close()
	}
	conn, err := shared.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	// A session has told of all its deadlocks once it has ended.
	await(t, conn, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND usename = 'signer')", nil)
	var deadlocks int
	err = conn.QueryRow(t.Context(), "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks)
	if err != nil || deadlocks > 0 {
		t.Errorf("%d deadlocks (%v)", deadlocks, err)
	}
}

// TestRightsForHighWatermarks: what signs may not set them, and what may set them needs no more than the right to write.
func TestRightsForHighWatermarks(t *testing.T) {
	database := newDatabase(t)
	closed(t, options(database))
	administrate(t, database, "ALTER TABLE attestations OWNER TO admin", "ALTER TABLE blocks OWNER TO admin", "ALTER TABLE high_watermarks OWNER TO admin",
		"GRANT SELECT, INSERT, UPDATE ON attestations, blocks TO signer", "GRANT SELECT ON high_watermarks TO signer")
	s := open(t, options(database))
	set := func(h slashing.HighWatermark) error { return s.SetHighWatermark(t.Context(), []bls.PublicKey{{1}}, h) }
	low := slashing.HighWatermark{Slot: 1, Epoch: 1}
	if err := set(low); !errors.Is(err, slashing.ErrUnavailable) || !strings.Contains(err.Error(), "to set high watermarks INSERT, UPDATE and DELETE on high_watermarks too") {
		t.Errorf("without the right: %v", err)
	}
	administrate(t, database, "GRANT INSERT, UPDATE, DELETE ON high_watermarks TO signer")
	vote := slashing.Block{Slot: 2}
	claims := []slashing.Claim{{Key: bls.PublicKey{1}, Vote: vote}}
	if err := set(low); err != nil {
		t.Error(err)
	}
	if outcomes, err := s.Advance(t.Context(), claims); err != nil || outcomes[0].Above == nil {
		t.Errorf("%v, %v", outcomes, err)
	}
	if err := set(slashing.NoHighWatermark()); err != nil {
		t.Error(err)
	}
	if outcomes, err := s.Advance(t.Context(), claims); err != nil || !outcomes[0].Permits(vote) {
		t.Errorf("%v, %v", outcomes, err)
	}
}

// TestSetWithHeightsBeyondTheDatabase: what is above all that can be counted limits nothing, and a key that is there twice is set once.
func TestSetWithHeightsBeyondTheDatabase(t *testing.T) {
	s := open(t, options(newDatabase(t)))
	key := bls.PublicKey{1}
	high := slashing.HighWatermark{Slot: 1 << 63, Epoch: 7}
	if err := s.SetHighWatermark(t.Context(), []bls.PublicKey{key, key}, high); err != nil {
		t.Fatal(err)
	}
	single, err := s.KeyHighWatermarks(t.Context())
	if want := (slashing.HighWatermark{Slot: slashing.MaxHeight, Epoch: 7}); err != nil || len(single) != 1 || single[key] != want {
		t.Errorf("%v, %v", single, err)
	}
	if all, err := s.HighWatermark(t.Context()); err != nil || all != slashing.NoHighWatermark() {
		t.Errorf("that of all keys: %v, %v", all, err)
	}
}

// TestRecordedByAnotherMeanwhile: a vote that is refused, and then found on record because another signer put it there, may not be
// on the standby yet. It is not permitted before it is written again.
func TestRecordedByAnotherMeanwhile(t *testing.T) {
	database := newDatabase(t)
	p := newProxy(t, shared.Address())
	s, other := open(t, plain(p.Address(), database)), open(t, options(database))
	claims := []slashing.Claim{{Vote: slashing.Block{Slot: 1}, KnownOnly: true}}
	p.Spoil(false, func(fromClient bool, data []byte) verdict {
		if fromClient && data[0] == 'B' && bytes.Contains(data, []byte("\x00standing_")) {
			if _, err := other.Advance(t.Context(), []slashing.Claim{{Vote: claims[0].Vote}}); err != nil {
				t.Error(err)
			}
		}
		return pass
	})
	outcomes, err := s.Advance(t.Context(), claims)
	p.Spoil(false, nil)
	if err != nil || !errors.Is(outcomes[0].Err, slashing.ErrOutcomeUnknown) || outcomes[0].Permits(claims[0].Vote) {
		t.Errorf("%v, %v", outcomes, err)
	}
	if outcomes, err = s.Advance(t.Context(), claims); err != nil || !outcomes[0].Permits(claims[0].Vote) {
		t.Errorf("sent again: %v, %v", outcomes, err)
	}
}
