package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// watermark reads the row of the statement highWatermark, which has NULL where there is none.
func watermark(row *sql.Row) (slashing.HighWatermark, error) {
	var slot, epoch sql.NullInt64
	if err := row.Scan(&slot, &epoch); err != nil || !slot.Valid || !epoch.Valid {
		return slashing.NoHighWatermark(), err
	}
	return slashing.HighWatermark{Slot: uint64(slot.Int64), Epoch: uint64(epoch.Int64)}, nil
}

// SetHighWatermark implements slashing.Ledger: one transaction, for all keys or none.
func (s *Store) SetHighWatermark(ctx context.Context, keys []bls.PublicKey, h slashing.HighWatermark) error {
	h = h.Lower(slashing.NoHighWatermark())
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if keys == nil {
			return setHighWatermark(ctx, tx, []byte{}, h)
		}
		for _, key := range keys {
			if err := setHighWatermark(ctx, tx, key[:], h); err != nil {
				return fmt.Errorf("key %s: %w", key, err)
			}
		}
		return nil
	})
}

func setHighWatermark(ctx context.Context, tx *sql.Tx, key []byte, h slashing.HighWatermark) error {
	if h == slashing.NoHighWatermark() {
		_, err := tx.ExecContext(ctx, "DELETE FROM high_watermarks WHERE key = ?1", key)
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO high_watermarks (key, slot, epoch) VALUES (?1, ?2, ?3)", key, int64(h.Slot), int64(h.Epoch))
	return err
}

// HighWatermark implements slashing.Ledger.
func (s *Store) HighWatermark(ctx context.Context) (slashing.HighWatermark, error) {
	h := slashing.NoHighWatermark()
	err := s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var err error
		h, err = watermark(s.parsed.in(ctx, tx).highWatermark.QueryRowContext(ctx, []byte{}))
		return err
	})
	return h, err
}

// KeyHighWatermarks implements slashing.Ledger. Signing waits meanwhile.
func (s *Store) KeyHighWatermarks(ctx context.Context) (map[bls.PublicKey]slashing.HighWatermark, error) {
	single := make(map[bls.PublicKey]slashing.HighWatermark)
	err := s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, "SELECT key, slot, epoch FROM high_watermarks WHERE key > x''")
		if err != nil {
			return err
		}
		defer rows.Close() //nolint:errcheck // Err has what matters
		for rows.Next() {
			var key []byte
			var h slashing.HighWatermark
			if err := rows.Scan(&key, &h.Slot, &h.Epoch); err != nil {
				return err
			}
			if len(key) != len(bls.PublicKey{}) {
				return fmt.Errorf("a high watermark whose key has %d bytes", len(key))
			}
			single[bls.PublicKey(key)] = h
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return single, nil
}
