package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Names of the statements that each connection has parsed.
const (
	advanceAttestations  = "advance_attestations"
	advanceAttestation   = "advance_attestation"
	advanceBlocks        = "advance_blocks"
	advanceBlock         = "advance_block"
	standingAttestations = "standing_attestations"
	standingBlocks       = "standing_blocks"
)

// known lets a claim through whose key has a record, or that is for any key. Not EXISTS, which a plan made for an empty table turns
// into one that reads all keys.
const known = `(NOT known_only
    OR (SELECT true FROM attestations AS a WHERE a.key = claim.key)
    OR (SELECT true FROM blocks AS b WHERE b.key = claim.key))`

// The rule for a row that is there, the same for one claim and for many.
const (
	attestationRule = `
ON CONFLICT (key) DO UPDATE
SET source = excluded.source, target = excluded.target, root = excluded.root
WHERE (excluded.source >= last.source AND excluded.target > last.target)
   OR (excluded.source = last.source AND excluded.target = last.target AND excluded.root = last.root)
RETURNING key, source, target, root, NULL::bigint, NULL::bigint`

	blockRule = `
ON CONFLICT (key) DO UPDATE
SET slot = excluded.slot, root = excluded.root
WHERE excluded.slot > last.slot
   OR (excluded.slot = last.slot AND excluded.root = last.root)
RETURNING key, slot, root, NULL::bigint, NULL::bigint`
)

// statements: the rule is one conditional statement per kind, which returns a row exactly for the votes that are on record now
// and may be signed. Rows are locked in the order of their keys, so that two signers never wait for each other.
//
// All return what is on record, then the lower of the key's high watermark and that of all keys, whose key is empty. What was
// recorded is above none. That of all keys is looked up once for each statement, not for each claim.
func statements() map[string]string {
	return map[string]string{
		advanceAttestations: `
INSERT INTO attestations AS last (key, source, target, root)
SELECT key, source, target, root
FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[], $5::boolean[]) AS claim (key, source, target, root, known_only)
WHERE source <= target
  AND (target > (SELECT epoch FROM high_watermarks WHERE key = '')) IS NOT TRUE
  AND NOT EXISTS (SELECT FROM high_watermarks AS own WHERE own.key = claim.key AND claim.target > own.epoch)
  AND ` + known + `
ORDER BY key` + attestationRule,

		// One vote alone needs no array taken apart and no sort.
		advanceAttestation: `
INSERT INTO attestations AS last (key, source, target, root)
SELECT claim.key, claim.source, claim.target, claim.root
FROM (VALUES ($1::bytea, $2::bigint, $3::bigint, $4::bytea, $5::boolean)) AS claim (key, source, target, root, known_only)
WHERE source <= target
  AND (target > (SELECT epoch FROM high_watermarks WHERE key = '')) IS NOT TRUE
  AND (target > (SELECT epoch FROM high_watermarks AS own WHERE own.key = claim.key)) IS NOT TRUE
  AND ` + known + attestationRule,

		advanceBlocks: `
INSERT INTO blocks AS last (key, slot, root)
SELECT key, slot, root
FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::boolean[]) AS claim (key, slot, root, known_only)
WHERE (slot > (SELECT slot FROM high_watermarks WHERE key = '')) IS NOT TRUE
  AND NOT EXISTS (SELECT FROM high_watermarks AS own WHERE own.key = claim.key AND claim.slot > own.slot)
  AND ` + known + `
ORDER BY key` + blockRule,

		advanceBlock: `
INSERT INTO blocks AS last (key, slot, root)
SELECT claim.key, claim.slot, claim.root
FROM (VALUES ($1::bytea, $2::bigint, $3::bytea, $4::boolean)) AS claim (key, slot, root, known_only)
WHERE (slot > (SELECT slot FROM high_watermarks WHERE key = '')) IS NOT TRUE
  AND (slot > (SELECT slot FROM high_watermarks AS own WHERE own.key = claim.key)) IS NOT TRUE
  AND ` + known + blockRule,

		standingAttestations: `
SELECT claim.key, last.source, last.target, last.root, least(own.slot, every.slot), least(own.epoch, every.epoch)
FROM unnest($1::bytea[]) AS claim (key)
LEFT JOIN attestations AS last ON last.key = claim.key
LEFT JOIN high_watermarks AS own ON own.key = claim.key
LEFT JOIN high_watermarks AS every ON every.key = ''`,

		standingBlocks: `
SELECT claim.key, last.slot, last.root, least(own.slot, every.slot), least(own.epoch, every.epoch)
FROM unnest($1::bytea[]) AS claim (key)
LEFT JOIN blocks AS last ON last.key = claim.key
LEFT JOIN high_watermarks AS own ON own.key = claim.key
LEFT JOIN high_watermarks AS every ON every.key = ''`,
	}
}

// prepare has a connection parse the statements.
func prepare(ctx context.Context, conn *pgx.Conn) error {
	for name, text := range statements() {
		if _, err := conn.Prepare(ctx, name, text); err != nil {
			return err
		}
	}
	return nil
}
