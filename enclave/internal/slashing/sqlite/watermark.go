package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

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
	keys, h = slices.Clone(keys), h.Lower(slashing.NoHighWatermark())
	_, err := write(ctx, s, func(within context.Context, tx *sql.Tx) (set struct{}, err error) {
		if keys == nil {
			return set, setHighWatermark(within, tx, []byte{}, h)
		}
		for _, key := range keys {
			if err = ctx.Err(); err == nil {
				err = setHighWatermark(within, tx, key[:], h)
			}
			if err != nil {
				return set, fmt.Errorf("key %s: %w", key, err)
			}
		}
		return set, nil
	})
	return err
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
	return read(ctx, s, func(within context.Context, tx *sql.Tx) (slashing.HighWatermark, error) {
		return watermark(s.parsed.in(within, tx).highWatermark.QueryRowContext(within, []byte{}))
	})
}

// KeyHighWatermarks implements slashing.Ledger. Signing waits meanwhile.
func (s *Store) KeyHighWatermarks(ctx context.Context) (map[bls.PublicKey]slashing.HighWatermark, error) {
	return read(ctx, s, func(within context.Context, tx *sql.Tx) (map[bls.PublicKey]slashing.HighWatermark, error) {
		single := make(map[bls.PublicKey]slashing.HighWatermark)
		return single, rows(ctx, within, tx, func(row *sql.Rows) error {
			var key []byte
			var h slashing.HighWatermark
			if err := row.Scan(&key, &h.Slot, &h.Epoch); err != nil {
				return err
			}
			if len(key) != len(bls.PublicKey{}) {
				return fmt.Errorf("a high watermark whose key has %d bytes", len(key))
			}
			single[bls.PublicKey(key)] = h
			return nil
		}, "SELECT key, slot, epoch FROM high_watermarks WHERE key > x''")
	})
}
