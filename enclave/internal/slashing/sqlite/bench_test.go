package sqlite

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

func BenchmarkAdvance(b *testing.B) {
	for _, n := range []int{1, 8, 64, 512} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, err := Open(b.Context(), filepath.Join(b.TempDir(), "x"))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			claims := make([]slashing.Claim, n)
			var target uint64
			b.ReportAllocs()
			for b.Loop() {
				target++
				for i := range claims {
					binary.BigEndian.PutUint32(claims[i].Key[:], uint32(i*7919))
					claims[i].Vote = slashing.Attestation{Source: 0, Target: target}
				}
				if _, err := s.Advance(b.Context(), claims); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "us/claim")
		})
	}
}
