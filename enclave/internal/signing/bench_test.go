package signing

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// BenchmarkSign compares the whole pipeline, one vote at a time, with the bare BLS signature in it.
func BenchmarkSign(b *testing.B) {
	b.Run("bls", func(b *testing.B) {
		key, err := bls.SecretKeyFromSeed(make([]byte, 32))
		if err != nil {
			b.Fatal(err)
		}
		var root [32]byte
		for b.Loop() {
			root[0]++
			if _, err := key.Sign(root); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("pipeline", func(b *testing.B) { benchmarkVotes(b, storetest.NewMemory()) })
	b.Run("pipeline-sqlite", func(b *testing.B) {
		store, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "s.sqlite"))
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		benchmarkVotes(b, store)
	})
}

func benchmarkVotes(b *testing.B, store slashing.Store) {
	b.Helper()
	h, err := newHouse(store, 0, time.Second)
	if err != nil {
		b.Fatal(err)
	}
	g := grant(h.key, eth2.Attestation)
	var target uint64
	for b.Loop() {
		target++
		if _, err := h.Sign(b.Context(), g, vote(0, target, 0)); err != nil {
			b.Fatal(err)
		}
	}
}
