package postgres_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// BenchmarkVote compares one vote at a time with a bare update of the same row: what the store adds, and then the guard. The bench
// program measures votes among many.
func BenchmarkVote(b *testing.B) {
	const keys = 1000
	database := newDatabase(b)
	store := open(b, plain(shared.Address(), database))
	guard := slashing.NewGuard(store, 10*time.Second)
	target := uint64(0) // of the last vote: they rise across the parts
	next := func() (key bls.PublicKey) {
		target++
		binary.BigEndian.PutUint64(key[:], target%keys)
		return key
	}
	advance := func(b *testing.B) {
		claim := slashing.Claim{Key: next(), Vote: slashing.Attestation{Target: target}}
		if outcomes, err := store.Advance(b.Context(), []slashing.Claim{claim}); err != nil || !outcomes[0].Permits(claim.Vote) {
			b.Fatal(outcomes, err)
		}
	}
	for range keys { // the first vote of a key makes its record, all others change it
		advance(b)
	}
	b.Run("update", func(b *testing.B) {
		conn, err := pgx.Connect(b.Context(), shared.PlainURL(shared.Address(), database))
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close(b.Context())
		for b.Loop() {
			key := next()
			tag, err := conn.Exec(b.Context(), "UPDATE attestations SET target = $2, root = $3 WHERE key = $1 AND target < $2",
				key[:], int64(target), make([]byte, 32))
			if err != nil || tag.RowsAffected() != 1 {
				b.Fatal(tag, err)
			}
		}
	})
	b.Run("store", func(b *testing.B) {
		for b.Loop() {
			advance(b)
		}
	})
	b.Run("guard", func(b *testing.B) {
		for b.Loop() {
			key := next()
			if _, err := guard.Permit(b.Context(), key, attestation(target, 0)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
