package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgpool"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// What a lock may mean to a claim.
const (
	rowFree   = iota // it need not wait, or for a table
	rowNone          // there is no row, but somebody may be making one, and only they see it
	rowLocked        // somebody keeps it, or changes it just now
	rowStates
)

// freeAttestations and freeBlocks tell which rows that are there could be locked as the rule does it. The locks that they take for that
// end with them.
const (
	freeAttestations = `
WITH free AS (SELECT key FROM attestations WHERE key = ANY ($1::bytea[]) FOR NO KEY UPDATE SKIP LOCKED)
SELECT key, key IN (SELECT key FROM free) FROM attestations WHERE key = ANY ($1::bytea[])`

	freeBlocks = `
WITH free AS (SELECT key FROM blocks WHERE key = ANY ($1::bytea[]) FOR NO KEY UPDATE SKIP LOCKED)
SELECT key, key IN (SELECT key FROM free) FROM blocks WHERE key = ANY ($1::bytea[])`
)

// passBy records a group that waited in vain for a lock, part after part as byLock tells them apart. The first part waits as long as it
// would alone; those after it, which keep the first from its answer, until half of the write's time is over.
func (s *Store) passBy(ctx context.Context, claims []slashing.Claim, parts [][]int, need time.Duration, doubt error) []slashing.Outcome {
	outcomes := make([]slashing.Outcome, len(claims))
	for _, part := range parts {
		some := make([]slashing.Claim, len(part))
		for i, at := range part {
			some[i] = claims[at]
		}
		for i, o := range s.each(ctx, some, need, doubt) {
			outcomes[part[i]] = o
		}
		need = s.timeout / 2
	}
	return outcomes
}

// byLock tells claims apart, by their indices, by what they may wait for: the sooner a part can be recorded the earlier it comes. It is
// one part if a table is locked, or if the row is free by now, and none if the server does not say.
func (s *Store) byLock(ctx context.Context, claims []slashing.Claim) (parts [][]int) {
	if len(claims) == 1 {
		return nil
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil
	}
	defer pgpool.Release(conn)
	ctx, cancel := context.WithTimeout(ctx, s.timeout/2)
	defer cancel()
	g, states, batch := gather(claims), slices.Repeat([]int{rowNone}, len(claims)), new(pgx.Batch)
	ask := func(statement string, index map[bls.PublicKey]int) {
		keys := make([][]byte, 0, len(index))
		for key := range index {
			keys = append(keys, key[:])
		}
		var key []byte
		var free bool
		batch.Queue(statement, keys).Query(func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, []any{&key, &free}, func() error {
				i, err := find(index, key)
				switch {
				case err != nil:
					return err
				case free:
					states[i] = rowFree
				default:
					states[i] = rowLocked
				}
				return nil
			})
			return err
		})
	}
	batch.Queue("BEGIN")
	ask(freeAttestations, g.attestations)
	ask(freeBlocks, g.blocks)
	batch.Queue("ROLLBACK") // a commit of these locks would wait for disk and standby, and hold them meanwhile
	if err := exchange(ctx, conn.Conn(), batch); err != nil {
		s.renew(err)
		return nil
	}
	for state := range rowStates {
		var part []int
		for i := range claims {
			if states[i] == state {
				part = append(part, i)
			}
		}
		if len(part) > 0 {
			parts = append(parts, part)
		}
	}
	return parts
}
