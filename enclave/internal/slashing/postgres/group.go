package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Names of the statements that each connection has parsed.
const (
	advanceAttestations  = "advance_attestations"
	advanceBlocks        = "advance_blocks"
	standingAttestations = "standing_attestations"
	standingBlocks       = "standing_blocks"
)

// statements: the rule is one conditional statement per kind, which returns a row exactly for the votes that are on record now.
// Rows are locked in the order of their keys, so that two signers never wait for each other.
func statements() map[string]string {
	return map[string]string{
		advanceAttestations: `
INSERT INTO attestations AS last (key, source, target, root)
SELECT key, source, target, root
FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[]) AS claim (key, source, target, root)
WHERE source <= target
ORDER BY key
ON CONFLICT (key) DO UPDATE
SET source = excluded.source, target = excluded.target, root = excluded.root
WHERE (excluded.source >= last.source AND excluded.target > last.target)
   OR (excluded.source = last.source AND excluded.target = last.target AND excluded.root = last.root)
RETURNING key, source, target, root`,

		advanceBlocks: `
INSERT INTO blocks AS last (key, slot, root)
SELECT key, slot, root
FROM unnest($1::bytea[], $2::bigint[], $3::bytea[]) AS claim (key, slot, root)
ORDER BY key
ON CONFLICT (key) DO UPDATE
SET slot = excluded.slot, root = excluded.root
WHERE excluded.slot > last.slot
   OR (excluded.slot = last.slot AND excluded.root = last.root)
RETURNING key, slot, root`,

		standingAttestations: `SELECT key, source, target, root FROM attestations WHERE key = ANY($1::bytea[])`,
		standingBlocks:       `SELECT key, slot, root FROM blocks WHERE key = ANY($1::bytea[])`,
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

// group is a batch on its way. Its rows are found again by their keys, never by their order.
type group struct {
	claims              []slashing.Claim
	outcomes            []slashing.Outcome
	attestations, block map[bls.PublicKey]int // where a key's claim is
}

// sheet holds the arguments of both statements, column by column.
type sheet struct {
	attestations struct {
		keys            [][]byte
		sources, target []int64
		roots           [][]byte
	}
	blocks struct {
		keys  [][]byte
		slots []int64
		roots [][]byte
	}
}

func gather(claims []slashing.Claim) *group {
	g := &group{
		claims: claims, outcomes: make([]slashing.Outcome, len(claims)),
		attestations: make(map[bls.PublicKey]int, len(claims)), block: make(map[bls.PublicKey]int),
	}
	for i, c := range claims {
		if _, block := c.Vote.(slashing.Block); block {
			g.block[c.Key] = i
		} else {
			g.attestations[c.Key] = i
		}
	}
	return g
}

// full holds every claim whose heights the database can count to; the others are refused by the rule.
func (g *group) full() *sheet {
	return g.sheet(func(i int) bool { return inRange(g.claims[i].Vote) })
}

// refused holds the claims that are not on record.
func (g *group) refused() *sheet {
	return g.sheet(func(i int) bool { return g.outcomes[i].Standing == nil })
}

func inRange(v slashing.Vote) bool {
	switch v := v.(type) {
	case slashing.Attestation:
		return v.Source <= slashing.MaxHeight && v.Target <= slashing.MaxHeight && !v.RootUnknown
	case slashing.Block:
		return v.Slot <= slashing.MaxHeight && !v.RootUnknown
	}
	return false
}

func (g *group) sheet(with func(i int) bool) *sheet {
	s := new(sheet)
	for i := range g.claims {
		if !with(i) {
			continue
		}
		switch v := g.claims[i].Vote.(type) { // exhaustive: distinct has seen them
		case slashing.Attestation:
			a := &s.attestations
			a.keys, a.roots = append(a.keys, g.claims[i].Key[:]), append(a.roots, v.Root[:])
			a.sources, a.target = append(a.sources, int64(v.Source)), append(a.target, int64(v.Target))
		case slashing.Block:
			b := &s.blocks
			b.keys, b.roots = append(b.keys, g.claims[i].Key[:]), append(b.roots, v.Root[:])
			b.slots = append(b.slots, int64(v.Slot))
		}
	}
	return s
}

// exchange runs one statement per kind, in one round trip and one implicit transaction, and takes in what they return. The error
// of the transaction's end comes with the batch's.
func (g *group) exchange(ctx context.Context, conn *pgx.Conn, attestations, blocks string, s *sheet) error {
	batch := new(pgx.Batch)
	if a := &s.attestations; len(a.keys) > 0 {
		arguments := []any{a.keys}
		if attestations == advanceAttestations {
			arguments = append(arguments, a.sources, a.target, a.roots)
		}
		batch.Queue(attestations, arguments...).Query(func(rows pgx.Rows) error { return g.takeAttestations(rows) })
	}
	if b := &s.blocks; len(b.keys) > 0 {
		arguments := []any{b.keys}
		if blocks == advanceBlocks {
			arguments = append(arguments, b.slots, b.roots)
		}
		batch.Queue(blocks, arguments...).Query(func(rows pgx.Rows) error { return g.takeBlocks(rows) })
	}
	if batch.Len() == 0 {
		return nil
	}
	return conn.SendBatch(ctx, batch).Close()
}

func (g *group) takeAttestations(rows pgx.Rows) error {
	for rows.Next() {
		var key, root []byte
		var source, target int64
		if err := rows.Scan(&key, &source, &target, &root); err != nil {
			return err
		}
		a := slashing.Attestation{Source: uint64(source), Target: uint64(target)}
		a.Root, a.RootUnknown = rootOf(root)
		if err := g.stands(g.attestations, key, a); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (g *group) takeBlocks(rows pgx.Rows) error {
	for rows.Next() {
		var key, root []byte
		var slot int64
		if err := rows.Scan(&key, &slot, &root); err != nil {
			return err
		}
		b := slashing.Block{Slot: uint64(slot)}
		b.Root, b.RootUnknown = rootOf(root)
		if err := g.stands(g.block, key, b); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (g *group) stands(index map[bls.PublicKey]int, key []byte, v slashing.Vote) error {
	if len(key) != len(bls.PublicKey{}) {
		return fmt.Errorf("a row whose key has %d bytes", len(key))
	}
	i, ok := index[bls.PublicKey(key)]
	if !ok {
		return errors.New("a row of a key that was not asked for")
	}
	g.outcomes[i].Standing = v
	return nil
}

// fail marks what has no answer.
func (g *group) fail(err error) {
	for i := range g.outcomes {
		if g.outcomes[i].Standing == nil {
			g.outcomes[i].Err = err
		}
	}
}

// rootOf reads a root, which is NULL when it is not known.
func rootOf(column []byte) (root eth2.Root, unknown bool) {
	if len(column) != len(root) {
		return eth2.Root{}, true
	}
	return eth2.Root(column), false
}
