package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Advance implements slashing.Store: one transaction, synced once.
func (s *Store) Advance(ctx context.Context, claims []slashing.Claim) ([]slashing.Outcome, error) {
	claims = slices.Clone(claims) // the caller's again once this returns
	return write(ctx, s, func(within context.Context, tx *sql.Tx) ([]slashing.Outcome, error) {
		parsed := s.parsed.in(within, tx)
		outcomes := make([]slashing.Outcome, len(claims))
		for i, claim := range claims {
			err := ctx.Err() // between two claims; within one nothing waits
			if err == nil {
				outcomes[i], err = parsed.advance(within, claim)
			}
			if err != nil {
				return nil, err
			}
		}
		return outcomes, nil
	})
}

// advance records one claim if it may be signed, and says what stands then and whether the claim is above a high watermark.
func (s *statements) advance(ctx context.Context, claim slashing.Claim) (slashing.Outcome, error) {
	recorded, err := s.record(ctx, claim)
	if err != nil || recorded != nil {
		return slashing.Outcome{Standing: recorded}, err
	}
	standing, err := s.standing(ctx, claim)
	if err != nil {
		return slashing.Outcome{}, err
	}
	o := slashing.Outcome{Standing: standing}
	high, err := watermark(s.highWatermark.QueryRowContext(ctx, claim.Key[:]))
	if err == nil && !high.Judge(claim.Vote).Allowed() {
		o.Above = &high
	}
	return o, err
}

// record is the vote if it is on record now, nil if it is refused. Heights that the database cannot count to are refused.
func (s *statements) record(ctx context.Context, claim slashing.Claim) (slashing.Vote, error) {
	key := claim.Key[:]
	switch v := claim.Vote.(type) { // exhaustive: the set of votes is closed
	case slashing.Attestation:
		if v.Target > slashing.MaxHeight || v.Source > slashing.MaxHeight || v.RootUnknown {
			return nil, nil
		}
		return attestation(s.advanceAttestation.QueryRowContext(ctx, key, claim.KnownOnly, int64(v.Source), int64(v.Target), v.Root[:]))
	case slashing.Block:
		if v.Slot > slashing.MaxHeight || v.RootUnknown {
			return nil, nil
		}
		return block(s.advanceBlock.QueryRowContext(ctx, key, claim.KnownOnly, int64(v.Slot), v.Root[:]))
	}
	return nil, fmt.Errorf("no table for a %T of key %s", claim.Vote, claim.Key.Short())
}

// standing is what is on record for a claim's key and kind, nil if nothing is.
func (s *statements) standing(ctx context.Context, claim slashing.Claim) (slashing.Vote, error) {
	if _, ok := claim.Vote.(slashing.Block); ok {
		return block(s.standingBlock.QueryRowContext(ctx, claim.Key[:]))
	}
	return attestation(s.standingAttestation.QueryRowContext(ctx, claim.Key[:]))
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
