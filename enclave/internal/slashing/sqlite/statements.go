package sqlite

import (
	"context"
	"database/sql"
)

// known lets a claim through whose key has a record, or that is for any key. The key is ?1; ?2 says whether it must be known.
const known = `(NOT ?2 OR EXISTS (SELECT 1 FROM attestations WHERE key = ?1) OR EXISTS (SELECT 1 FROM blocks WHERE key = ?1))`

// The rule, as one conditional statement per kind: it returns a row exactly if the vote is now on record and may be signed. The
// key's high watermark and that of all keys, whose key is empty, both count.
const (
	advanceAttestation = `
INSERT INTO attestations AS last (key, source, target, root)
SELECT ?1, ?3, ?4, ?5
WHERE ?3 <= ?4 AND NOT EXISTS (SELECT 1 FROM high_watermarks WHERE key IN (x'', ?1) AND ?4 > epoch) AND ` + known + `
ON CONFLICT (key) DO UPDATE
SET source = excluded.source, target = excluded.target, root = excluded.root
WHERE (excluded.source >= last.source AND excluded.target > last.target)
   OR (excluded.source = last.source AND excluded.target = last.target AND excluded.root = last.root)
RETURNING source, target, root`

	advanceBlock = `
INSERT INTO blocks AS last (key, slot, root)
SELECT ?1, ?3, ?4
WHERE NOT EXISTS (SELECT 1 FROM high_watermarks WHERE key IN (x'', ?1) AND ?3 > slot) AND ` + known + `
ON CONFLICT (key) DO UPDATE
SET slot = excluded.slot, root = excluded.root
WHERE excluded.slot > last.slot
   OR (excluded.slot = last.slot AND excluded.root = last.root)
RETURNING slot, root`

	standingAttestation = `SELECT source, target, root FROM attestations WHERE key = ?1`
	standingBlock       = `SELECT slot, root FROM blocks WHERE key = ?1`

	highWatermark = `SELECT min(slot), min(epoch) FROM high_watermarks WHERE key IN (x'', ?1)`
)

// statements are what a claim needs, parsed once.
type statements struct {
	advanceAttestation, standingAttestation *sql.Stmt
	advanceBlock, standingBlock             *sql.Stmt
	highWatermark                           *sql.Stmt
}

// parse parses all statements.
func (s *statements) parse(ctx context.Context, db *sql.DB) error {
	for text, stmt := range map[string]**sql.Stmt{
		advanceAttestation: &s.advanceAttestation, standingAttestation: &s.standingAttestation,
		advanceBlock: &s.advanceBlock, standingBlock: &s.standingBlock, highWatermark: &s.highWatermark,
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
		highWatermark: tx.StmtContext(ctx, s.highWatermark),
	}
}
