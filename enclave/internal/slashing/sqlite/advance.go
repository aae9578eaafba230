package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// The rule, as one conditional statement per kind: it returns a row exactly if the vote is now on record.
const (
	advanceAttestation = `
INSERT INTO attestations AS last (key, source, target, root)
SELECT ?1, ?2, ?3, ?4 WHERE ?2 <= ?3
ON CONFLICT (key) DO UPDATE
SET source = excluded.source, target = excluded.target, root = excluded.root
WHERE (excluded.source >= last.source AND excluded.target > last.target)
   OR (excluded.source = last.source AND excluded.target = last.target AND excluded.root = last.root)
RETURNING source, target, root`

	advanceBlock = `
INSERT INTO blocks AS last (key, slot, root)
VALUES (?1, ?2, ?3)
ON CONFLICT (key) DO UPDATE
SET slot = excluded.slot, root = excluded.root
WHERE excluded.slot > last.slot
   OR (excluded.slot = last.slot AND excluded.root = last.root)
RETURNING slot, root`

	standingAttestation = `SELECT source, target, root FROM attestations WHERE key = ?1`
	standingBlock       = `SELECT slot, root FROM blocks WHERE key = ?1`
)

// statements are what a claim needs, parsed once.
type statements struct {
	advanceAttestation, standingAttestation *sql.Stmt
	advanceBlock, standingBlock             *sql.Stmt
}

// parse parses all statements.
func (s *statements) parse(ctx context.Context, db *sql.DB) error {
	for text, stmt := range map[string]**sql.Stmt{
		advanceAttestation: &s.advanceAttestation, standingAttestation: &s.standingAttestation,
		advanceBlock: &s.advanceBlock, standingBlock: &s.standingBlock,
	} {
		var err error
		if *stmt, err = db.PrepareContext(ctx, text); err != nil { //nolint:sqlclosecheck // it lives as long as the database, whose Close ends it
			return err
		}
	}
	return nil
}

// in binds the statements to a transaction.
func (s *statements) in(ctx context.Context, tx *sql.Tx) *statements {
	return &statements{
		advanceAttestation: tx.StmtContext(ctx, s.advanceAttestation), standingAttestation: tx.StmtContext(ctx, s.standingAttestation),
		advanceBlock: tx.StmtContext(ctx, s.advanceBlock), standingBlock: tx.StmtContext(ctx, s.standingBlock),
	}
}

// Advance implements slashing.Store: one transaction, synced once.
func (s *Store) Advance(ctx context.Context, claims []slashing.Claim) ([]slashing.Outcome, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, errClosed()
	}
	tx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	within := context.WithoutCancel(ctx) // between two claims the end of ctx is looked at, within one nothing waits
	parsed := s.parsed.in(within, tx)
	outcomes := make([]slashing.Outcome, len(claims))
	for i, claim := range claims {
		if err = ctx.Err(); err == nil {
			outcomes[i].Standing, err = parsed.advance(within, claim)
		}
		if err != nil { // rolled back, so that nothing is stored
			return nil, fmt.Errorf("%w: %w", slashing.ErrUnavailable, errors.Join(err, ended(tx.Rollback())))
		}
	}
	if err := tx.Commit(); err != nil { // the commit record may have reached the disk
		return nil, fmt.Errorf("%w: commit: %w", slashing.ErrOutcomeUnknown, err)
	}
	return outcomes, nil
}

// advance records one claim if the rule allows, and returns what stands then.
func (s *statements) advance(ctx context.Context, claim slashing.Claim) (slashing.Vote, error) {
	key := claim.Key[:]
	switch v := claim.Vote.(type) { // exhaustive: the set of votes is closed
	case slashing.Attestation:
		if v.Target > slashing.MaxHeight || v.Source > slashing.MaxHeight {
			return attestation(s.standingAttestation.QueryRowContext(ctx, key))
		}
		standing, err := attestation(s.advanceAttestation.QueryRowContext(ctx, key, int64(v.Source), int64(v.Target), v.Root[:]))
		if standing == nil && err == nil {
			return attestation(s.standingAttestation.QueryRowContext(ctx, key))
		}
		return standing, err
	case slashing.Block:
		if v.Slot > slashing.MaxHeight {
			return block(s.standingBlock.QueryRowContext(ctx, key))
		}
		standing, err := block(s.advanceBlock.QueryRowContext(ctx, key, int64(v.Slot), v.Root[:]))
		if standing == nil && err == nil {
			return block(s.standingBlock.QueryRowContext(ctx, key))
		}
		return standing, err
	}
	return nil, fmt.Errorf("no table for a %T of key %s", claim.Vote, claim.Key.Short())
}

// attestation reads a row; nil if there is none.
func attestation(row *sql.Row) (slashing.Vote, error) {
	var a slashing.Attestation
	var root []byte
	if err := row.Scan(&a.Source, &a.Target, &root); err != nil {
		return nil, noRow(err)
	}
	a.Root, a.RootUnknown = rootOf(root)
	return a, nil
}

// block reads a row; nil if there is none.
func block(row *sql.Row) (slashing.Vote, error) {
	var b slashing.Block
	var root []byte
	if err := row.Scan(&b.Slot, &root); err != nil {
		return nil, noRow(err)
	}
	b.Root, b.RootUnknown = rootOf(root)
	return b, nil
}

func noRow(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// rootOf reads a root, which is NULL when it is not known.
func rootOf(column []byte) (root eth2.Root, unknown bool) {
	if len(column) != len(root) {
		return eth2.Root{}, true
	}
	return eth2.Root(column), false
}
