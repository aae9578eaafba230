package postgres

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgpool"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// page is how many records Each reads, and a statement of Merge writes, at a time.
const page = 1000

// Identify implements slashing.Ledger.
func (s *Store) Identify(ctx context.Context) (slashing.Identity, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return slashing.Identity{}, unavailable(err)
	}
	defer pgpool.Release(conn)
	var id slashing.Identity
	if id.ID, err = identity(ctx, conn); err != nil {
		return slashing.Identity{}, unavailable(err)
	}
	root, err := meta(ctx, conn, metaNetwork)
	switch {
	case err != nil:
		return slashing.Identity{}, unavailable(err)
	case root == "":
		return id, nil
	}
	id.Pinned = true
	id.ValidatorsRoot, err = eth2.ParseRoot(root)
	return id, err
}

// Pin implements slashing.Ledger.
func (s *Store) Pin(ctx context.Context, validatorsRoot eth2.Root) error {
	want := "0x" + hex.EncodeToString(validatorsRoot[:])
	return s.transact(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", metaNetwork, want); err != nil {
			return err
		}
		pinned, err := meta(ctx, tx, metaNetwork)
		if err == nil && pinned != want {
			err = fmt.Errorf("%w: its genesis validators root is %s, not %s", slashing.ErrNetwork, pinned, want)
		}
		return err
	})
}

// The rule of slashing.Merged, for what is on record and the record given.
const (
	mergeAttestations = `
INSERT INTO attestations AS last (key, source, target, root)
SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[]) AS given (key, source, target, root) ORDER BY key
ON CONFLICT (key) DO UPDATE
SET source = greatest(last.source, excluded.source),
    target = greatest(last.target, excluded.target),
    root = CASE
    WHEN excluded.source >= last.source AND excluded.target > last.target THEN excluded.root
    WHEN last.source >= excluded.source AND last.target > excluded.target THEN last.root
    WHEN last.source = excluded.source AND last.target = excluded.target AND last.root = excluded.root THEN last.root
    END`

	mergeBlocks = `
INSERT INTO blocks AS last (key, slot, root)
SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[]) AS given (key, slot, root) ORDER BY key
ON CONFLICT (key) DO UPDATE
SET slot = greatest(last.slot, excluded.slot),
    root = CASE
    WHEN excluded.slot > last.slot THEN excluded.root
    WHEN last.slot > excluded.slot THEN last.root
    WHEN last.root = excluded.root THEN last.root
    END`
)

// Merge implements slashing.Ledger: one transaction, for all keys or none. It locks rows as Advance does, attestations before
// blocks and each in the order of keys; votes of keys that it has merged wait for its end.
func (s *Store) Merge(ctx context.Context, records []slashing.Record) error {
	sorted := slices.SortedFunc(slices.Values(records), func(a, b slashing.Record) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i].Key == sorted[i-1].Key {
			return fmt.Errorf("%w: key %s is there twice", slashing.ErrUnavailable, sorted[i].Key)
		}
	}
	return s.transact(ctx, func(tx pgx.Tx) error {
		for chunk := range slices.Chunk(sorted, page) {
			if err := putAttestations(ctx, tx, chunk); err != nil {
				return err
			}
		}
		for chunk := range slices.Chunk(sorted, page) {
			if err := putBlocks(ctx, tx, chunk); err != nil {
				return err
			}
		}
		return nil
	})
}

func putAttestations(ctx context.Context, tx pgx.Tx, records []slashing.Record) error {
	var keys, roots [][]byte
	var sources, targets []int64
	for _, r := range records {
		if a := r.Attestation; a != nil {
			keys, roots = append(keys, r.Key[:]), append(roots, column(a.Root, a.RootUnknown))
			sources, targets = append(sources, int64(a.Source)), append(targets, int64(a.Target))
		}
	}
	if len(keys) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, mergeAttestations, keys, sources, targets, roots)
	return err
}

func putBlocks(ctx context.Context, tx pgx.Tx, records []slashing.Record) error {
	var keys, roots [][]byte
	var slots []int64
	for _, r := range records {
		if b := r.Block; b != nil {
			keys, roots = append(keys, r.Key[:]), append(roots, column(b.Root, b.RootUnknown))
			slots = append(slots, int64(b.Slot))
		}
	}
	if len(keys) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, mergeBlocks, keys, slots, roots)
	return err
}

// column is a root as it is stored: NULL when it is not known.
func column(root eth2.Root, unknown bool) []byte {
	if unknown {
		return nil
	}
	return root[:]
}

// transact does f in one transaction, again if another one was in its way.
func (s *Store) transact(ctx context.Context, f func(pgx.Tx) error) error {
	for tries := 0; ; tries++ {
		err := s.transactOnce(ctx, f)
		if !conflicted(err) || !pause(ctx, tries, 0) {
			return err
		}
	}
}

func (s *Store) transactOnce(ctx context.Context, f func(pgx.Tx) error) (err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer pgpool.Release(conn)
	tx, err := conn.Begin(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = tx.Rollback(ctx) }() // after a commit it does nothing; if it fails the connection is closed, which rolls back too
	if _, err = tx.Exec(ctx, untimed); err == nil {
		err = f(tx)
	}
	if errors.Is(err, slashing.ErrNetwork) {
		return err
	}
	if err != nil {
		return unavailable(err)
	}
	if err = tx.Commit(ctx); err == nil {
		err = pgpool.Abandoned(conn.Conn())
	}
	if err != nil {
		return judged(err)
	}
	return nil
}

// readPage reads the next keys from each index, so that every page costs the same.
const readPage = `
SELECT key, source, target, a.root, slot, b.root
FROM (
	(SELECT key FROM attestations WHERE key > $1 ORDER BY key LIMIT $2) UNION
	(SELECT key FROM blocks WHERE key > $1 ORDER BY key LIMIT $2) ORDER BY key LIMIT $2
) AS keys
LEFT JOIN attestations AS a USING (key)
LEFT JOIN blocks AS b USING (key)
ORDER BY key`

// Each implements slashing.Ledger, page by page.
func (s *Store) Each(ctx context.Context, f func(slashing.Record) error) error {
	after := []byte{}
	for {
		rows, err := s.pool.Query(ctx, readPage, after, page)
		if err != nil {
			return unavailable(err)
		}
		records, err := pgx.CollectRows(rows, record)
		if err != nil {
			return unavailable(err)
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

func record(row pgx.CollectableRow) (slashing.Record, error) {
	var key, attestationRoot, blockRoot []byte
	var source, target, slot *int64
	if err := row.Scan(&key, &source, &target, &attestationRoot, &slot, &blockRoot); err != nil {
		return slashing.Record{}, err
	}
	if len(key) != len(bls.PublicKey{}) {
		return slashing.Record{}, fmt.Errorf("a row whose key has %d bytes", len(key))
	}
	r := slashing.Record{Key: bls.PublicKey(key)}
	if source != nil && target != nil {
		r.Attestation = &slashing.Attestation{Source: uint64(*source), Target: uint64(*target)}
		r.Attestation.Root, r.Attestation.RootUnknown = rootOf(attestationRoot)
	}
	if slot != nil {
		r.Block = &slashing.Block{Slot: uint64(*slot)}
		r.Block.Root, r.Block.RootUnknown = rootOf(blockRoot)
	}
	return r, nil
}
