package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgpool"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// mark is a high watermark as the database holds it: NULL if there is none.
type mark struct{ slot, epoch *int64 }

func (m mark) watermark() slashing.HighWatermark {
	if m.slot == nil || m.epoch == nil {
		return slashing.NoHighWatermark()
	}
	return slashing.HighWatermark{Slot: uint64(*m.slot), Epoch: uint64(*m.epoch)}
}

// SetHighWatermark implements slashing.Ledger: one transaction, for all keys or none. Signing waits until it has ended.
//
// The lock keeps votes above from slipping through. Each Advance holds ROW EXCLUSIVE on the table that it writes until it has
// committed, which excludes this lock (https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES): it is
// granted when those before have ended. Those after wait for it, and see the high watermark: in READ COMMITTED a statement sees
// what was committed before it began to run, and it has locked its tables by then (PostgreSQL, src/backend/tcop/postgres.c:
// exec_bind_message has the plan locked, and the snapshot is taken when the portal is run).
func (s *Store) SetHighWatermark(ctx context.Context, keys []bls.PublicKey, h slashing.HighWatermark) error {
	columns := make([][]byte, 0, len(keys))
	for _, key := range keys {
		columns = append(columns, key[:])
	}
	if keys == nil {
		columns = [][]byte{{}}
	}
	h = h.Lower(slashing.NoHighWatermark())
	return s.transact(ctx, func(tx pgx.Tx) error {
		if err := s.lockVotes(ctx, tx); err != nil {
			return err
		}
		var err error
		if h == slashing.NoHighWatermark() {
			_, err = tx.Exec(ctx, "DELETE FROM high_watermarks WHERE key = ANY ($1::bytea[])", columns)
		} else {
			_, err = tx.Exec(ctx, `
INSERT INTO high_watermarks (key, slot, epoch)
SELECT DISTINCT key, $2::bigint, $3::bigint FROM unnest($1::bytea[]) AS given (key)
ON CONFLICT (key) DO UPDATE SET slot = excluded.slot, epoch = excluded.epoch`, columns, int64(h.Slot), int64(h.Epoch))
		}
		return err
	})
}

// lockVotes keeps votes from being recorded until the transaction ends. Everybody who writes waits behind it, so that it waits a
// small part of the time that a vote may take, and comes back when they had their turn: a merge, or an autovacuum that may not be interrupted, can
// take much longer. The tables are locked in the order in which Advance and Merge write them. The right to update them is enough, in
// PostgreSQL 15 as in 16, where the rights were changed (https://www.postgresql.org/docs/current/sql-lock.html).
func (s *Store) lockVotes(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = "+pgpool.Milliseconds(s.timeout/20)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "LOCK TABLE attestations, blocks IN SHARE ROW EXCLUSIVE MODE")
	return err
}

// HighWatermark implements slashing.Ledger.
func (s *Store) HighWatermark(ctx context.Context) (slashing.HighWatermark, error) {
	var m mark
	err := s.pool.QueryRow(ctx, "SELECT slot, epoch FROM high_watermarks WHERE key = ''").Scan(&m.slot, &m.epoch)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return slashing.HighWatermark{}, unavailable(err)
	}
	return m.watermark(), nil
}

// KeyHighWatermarks implements slashing.Ledger.
func (s *Store) KeyHighWatermarks(ctx context.Context) (map[bls.PublicKey]slashing.HighWatermark, error) {
	rows, err := s.pool.Query(ctx, "SELECT key, slot, epoch FROM high_watermarks WHERE key > ''")
	if err != nil {
		return nil, unavailable(err)
	}
	single := make(map[bls.PublicKey]slashing.HighWatermark)
	var key []byte
	var slot, epoch int64
	_, err = pgx.ForEachRow(rows, []any{&key, &slot, &epoch}, func() error {
		if len(key) != len(bls.PublicKey{}) {
			return fmt.Errorf("a high watermark whose key has %d bytes", len(key))
		}
		single[bls.PublicKey(key)] = slashing.HighWatermark{Slot: uint64(slot), Epoch: uint64(epoch)}
		return nil
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return single, nil
}
