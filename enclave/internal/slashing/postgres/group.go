package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgpool"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// group is a batch on its way. Its rows are found again by their keys, never by their order.
type group struct {
	claims               []slashing.Claim
	outcomes             []slashing.Outcome
	attestations, blocks map[bls.PublicKey]int // where a key's claim is
}

func gather(claims []slashing.Claim) *group {
	g := &group{
		claims: claims, outcomes: make([]slashing.Outcome, len(claims)),
		attestations: make(map[bls.PublicKey]int, len(claims)), blocks: make(map[bls.PublicKey]int),
	}
	for i, c := range claims {
		if _, block := c.Vote.(slashing.Block); block {
			g.blocks[c.Key] = i
		} else {
			g.attestations[c.Key] = i
		}
	}
	return g
}

// advance records what the rule allows of the claims whose heights the database can count to; the others are refused.
func (g *group) advance(ctx context.Context, conn *pgx.Conn) error {
	var a attestationColumns
	var b blockColumns
	for _, c := range g.claims {
		switch v := c.Vote.(type) { // exhaustive: distinct has seen them
		case slashing.Attestation:
			if v.Source <= slashing.MaxHeight && v.Target <= slashing.MaxHeight && !v.RootUnknown {
				a.add(c, v)
			}
		case slashing.Block:
			if v.Slot <= slashing.MaxHeight && !v.RootUnknown {
				b.add(c, v)
			}
		}
	}
	batch := new(pgx.Batch)
	switch {
	case len(a.keys) == 1 && len(b.keys) == 0:
		return g.advanceOne(ctx, conn, g.takeAttestations, advanceAttestation, a.keys[0], a.sources[0], a.targets[0], a.roots[0], a.knownOnly[0])
	case len(b.keys) == 1 && len(a.keys) == 0:
		return g.advanceOne(ctx, conn, g.takeBlocks, advanceBlock, b.keys[0], b.slots[0], b.roots[0], b.knownOnly[0])
	}
	if len(a.keys) > 0 {
		batch.Queue(advanceAttestations, a.keys, a.sources, a.targets, a.roots, a.knownOnly).Query(g.takeAttestations)
	}
	if len(b.keys) > 0 {
		batch.Queue(advanceBlocks, b.keys, b.slots, b.roots, b.knownOnly).Query(g.takeBlocks)
	}
	if err := exchange(ctx, conn, batch); err != nil {
		return err
	}
	return pgpool.Abandoned(conn)
}

// advanceOne records a claim that comes alone.
func (g *group) advanceOne(ctx context.Context, conn *pgx.Conn, take func(pgx.Rows) error, statement string, arguments ...any) error {
	rows, err := conn.Query(ctx, statement, arguments...)
	if err != nil {
		return err
	}
	err = take(rows)
	rows.Close()
	if end := rows.Err(); end != nil { // that of the transaction's end too
		return end
	}
	if err != nil {
		return err
	}
	return pgpool.Abandoned(conn)
}

// refused says which claims the database has not recorded.
func (g *group) refused() []int {
	var refused []int
	for i, o := range g.outcomes {
		if o.Standing == nil {
			refused = append(refused, i)
		}
	}
	return refused
}

// read learns what stands in the way of the claims that were refused.
func (g *group) read(ctx context.Context, conn *pgx.Conn, refused []int) error {
	var attestations, blocks [][]byte
	for _, i := range refused {
		if _, block := g.claims[i].Vote.(slashing.Block); block {
			blocks = append(blocks, g.claims[i].Key[:])
		} else {
			attestations = append(attestations, g.claims[i].Key[:])
		}
	}
	batch := new(pgx.Batch)
	if len(attestations) > 0 {
		batch.Queue(standingAttestations, attestations).Query(g.takeAttestations)
	}
	if len(blocks) > 0 {
		batch.Queue(standingBlocks, blocks).Query(g.takeBlocks)
	}
	return exchange(ctx, conn, batch)
}

// exchange runs the statements in one round trip and one implicit transaction. The error of the transaction's end comes with the
// batch's.
func exchange(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch) error {
	if batch.Len() == 0 {
		return nil
	}
	return conn.SendBatch(ctx, batch).Close()
}

func (g *group) takeAttestations(rows pgx.Rows) error {
	for rows.Next() {
		var key, root []byte
		var source, target *int64
		var high mark
		if err := rows.Scan(&key, &source, &target, &root, &high.slot, &high.epoch); err != nil {
			return err
		}
		var standing slashing.Vote
		if source != nil && target != nil {
			a := slashing.Attestation{Source: uint64(*source), Target: uint64(*target)}
			a.Root, a.RootUnknown = rootOf(root)
			standing = a
		}
		if err := g.take(g.attestations, key, standing, high); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (g *group) takeBlocks(rows pgx.Rows) error {
	for rows.Next() {
		var key, root []byte
		var slot *int64
		var high mark
		if err := rows.Scan(&key, &slot, &root, &high.slot, &high.epoch); err != nil {
			return err
		}
		var standing slashing.Vote
		if slot != nil {
			b := slashing.Block{Slot: uint64(*slot)}
			b.Root, b.RootUnknown = rootOf(root)
			standing = b
		}
		if err := g.take(g.blocks, key, standing, high); err != nil {
			return err
		}
	}
	return rows.Err()
}

// take sets the outcome of the claim that a row is about.
func (g *group) take(index map[bls.PublicKey]int, key []byte, standing slashing.Vote, high mark) error {
	i, err := find(index, key)
	if err != nil {
		return err
	}
	g.outcomes[i] = slashing.Outcome{Standing: standing}
	if h := high.watermark(); !h.Judge(g.claims[i].Vote).Allowed() {
		g.outcomes[i].Above = &h
	}
	return nil
}

// find is where the claim is that a row is about.
func find(index map[bls.PublicKey]int, key []byte) (int, error) {
	if len(key) != len(bls.PublicKey{}) {
		return 0, fmt.Errorf("a row whose key has %d bytes", len(key))
	}
	i, ok := index[bls.PublicKey(key)]
	if !ok {
		return 0, errors.New("a row of a key that was not asked for")
	}
	return i, nil
}

// rootOf reads a root, which is NULL when it is not known.
func rootOf(column []byte) (root eth2.Root, unknown bool) {
	if len(column) != len(root) {
		return eth2.Root{}, true
	}
	return eth2.Root(column), false
}
