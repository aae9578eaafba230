package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Names in the table meta.
const (
	metaID      = "store_id"
	metaNetwork = "genesis_validators_root"
)

// page is how many records Each reads at a time: signing waits for a page at most.
const page = 1000

// Identify implements slashing.Ledger.
func (s *Store) Identify(ctx context.Context) (slashing.Identity, error) {
	return read(ctx, s, func(within context.Context, tx *sql.Tx) (id slashing.Identity, err error) {
		if id.ID, err = meta(within, tx, metaID); err != nil {
			return id, err
		}
		root, err := meta(within, tx, metaNetwork)
		if err != nil || root == "" {
			return id, err
		}
		id.Pinned = true
		id.ValidatorsRoot, err = eth2.ParseRoot(root)
		return id, err
	})
}

// Pin implements slashing.Ledger.
func (s *Store) Pin(ctx context.Context, validatorsRoot eth2.Root) error {
	want := "0x" + hex.EncodeToString(validatorsRoot[:])
	_, err := write(ctx, s, func(within context.Context, tx *sql.Tx) (pinned string, err error) {
		if _, err := tx.ExecContext(within, "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING", metaNetwork, want); err != nil {
			return "", err
		}
		if pinned, err = meta(within, tx, metaNetwork); err == nil && pinned != want {
			err = fmt.Errorf("%w: its genesis validators root is %s, not %s", slashing.ErrNetwork, pinned, want)
		}
		return pinned, err
	})
	return err
}

// Merge implements slashing.Ledger: one transaction, for all keys or none. Everything else waits until it ends, because there is but
// one connection: signing stands still meanwhile. What the records point to must not be changed, also if it fails.
func (s *Store) Merge(ctx context.Context, records []slashing.Record) error {
	records = slices.Clone(records)
	_, err := write(ctx, s, func(within context.Context, tx *sql.Tx) (merged struct{}, err error) {
		into, err := s.merger(within, tx)
		if err != nil {
			return merged, err
		}
		for _, r := range records {
			if err = ctx.Err(); err == nil {
				err = into.merge(within, r)
			}
			if err != nil {
				return merged, fmt.Errorf("key %s: %w", r.Key, err)
			}
		}
		return merged, nil
	})
	return err
}

// merger has the statements of one merge, which end with its transaction.
type merger struct {
	*statements

	putAttestation, putBlock *sql.Stmt
}

func (s *Store) merger(ctx context.Context, tx *sql.Tx) (merger, error) {
	putAttestation, err := tx.PrepareContext(ctx, "INSERT OR REPLACE INTO attestations (key, source, target, root) VALUES (?1, ?2, ?3, ?4)")
	if err != nil {
		return merger{}, err
	}
	putBlock, err := tx.PrepareContext(ctx, "INSERT OR REPLACE INTO blocks (key, slot, root) VALUES (?1, ?2, ?3)")
	return merger{s.parsed.in(ctx, tx), putAttestation, putBlock}, err
}

func (m merger) merge(ctx context.Context, r slashing.Record) error {
	have := slashing.Record{Key: r.Key}
	vote, err := attestation(m.standingAttestation.QueryRowContext(ctx, r.Key[:]))
	if err != nil {
		return err
	}
	if a, ok := vote.(slashing.Attestation); ok {
		have.Attestation = &a
	}
	if vote, err = block(m.standingBlock.QueryRowContext(ctx, r.Key[:])); err != nil {
		return err
	}
	if b, ok := vote.(slashing.Block); ok {
		have.Block = &b
	}
	merged := slashing.Merged(have, r)
	if a := merged.Attestation; a != nil {
		_, err = m.putAttestation.ExecContext(ctx, r.Key[:], int64(a.Source), int64(a.Target), column(a.Root, a.RootUnknown))
	}
	if b := merged.Block; b != nil && err == nil {
		_, err = m.putBlock.ExecContext(ctx, r.Key[:], int64(b.Slot), column(b.Root, b.RootUnknown))
	}
	return err
}

// column is a root as it is stored: NULL when it is not known.
func column(root eth2.Root, unknown bool) any {
	if unknown {
		return nil
	}
	return root[:]
}

// readPage reads the next keys from each index, so that every page costs the same.
const readPage = `
WITH keys AS (
	SELECT key FROM (SELECT key FROM attestations WHERE key > ?1 ORDER BY key LIMIT ?2) UNION
	SELECT key FROM (SELECT key FROM blocks WHERE key > ?1 ORDER BY key LIMIT ?2) ORDER BY key LIMIT ?2
)
SELECT key, source, target, a.root, slot, b.root
FROM keys LEFT JOIN attestations AS a USING (key) LEFT JOIN blocks AS b USING (key)
ORDER BY key`

// Each implements slashing.Ledger, page by page.
func (s *Store) Each(ctx context.Context, f func(slashing.Record) error) error {
	after := []byte{}
	for {
		records, err := s.page(ctx, after)
		if err != nil {
			return err
		}
		for _, r := range records {
			if err := f(r); err != nil {
				return err
			}
		}
		if len(records) < page {
			return nil
		}
		after = records[page-1].Key[:]
	}
}

// page reads the records after a key.
func (s *Store) page(ctx context.Context, after []byte) ([]slashing.Record, error) {
	return read(ctx, s, func(within context.Context, tx *sql.Tx) (records []slashing.Record, err error) {
		err = rows(ctx, within, tx, func(row *sql.Rows) error {
			r, err := record(row)
			records = append(records, r)
			return err
		}, readPage, after, page)
		return records, err
	})
}

// rows calls f with each row, until its first error or the end of ctx.
func rows(ctx, within context.Context, tx *sql.Tx, f func(*sql.Rows) error, query string, args ...any) error {
	rows, err := tx.QueryContext(within, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err has what matters
	for rows.Next() {
		if err := errors.Join(ctx.Err(), f(rows)); err != nil {
			return err
		}
	}
	return rows.Err()
}

func record(rows *sql.Rows) (slashing.Record, error) {
	var key, attestationRoot, blockRoot []byte
	var source, target, slot sql.NullInt64
	if err := rows.Scan(&key, &source, &target, &attestationRoot, &slot, &blockRoot); err != nil {
		return slashing.Record{}, err
	}
	if len(key) != len(bls.PublicKey{}) {
		return slashing.Record{}, fmt.Errorf("a row whose key has %d bytes", len(key))
	}
	r := slashing.Record{Key: bls.PublicKey(key)}
	if target.Valid {
		r.Attestation = &slashing.Attestation{Source: uint64(source.Int64), Target: uint64(target.Int64)}
		r.Attestation.Root, r.Attestation.RootUnknown = rootOf(attestationRoot)
	}
	if slot.Valid {
		r.Block = &slashing.Block{Slot: uint64(slot.Int64)}
		r.Block.Root, r.Block.RootUnknown = rootOf(blockRoot)
	}
	return r, nil
}

// meta reads one value, "" if there is none.
func meta(ctx context.Context, tx *sql.Tx, name string) (string, error) {
	var value string
	err := tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = ?1", name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}
