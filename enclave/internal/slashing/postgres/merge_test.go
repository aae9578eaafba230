package postgres_test

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
)

// TestMergeIsMerged compares the rule that the database follows with slashing.Merged, for every pair of small records.
func TestMergeIsMerged(t *testing.T) {
	roots := []eth2.Root{{}, {1}, {2}} // the first is not known
	var some []slashing.Record
	for target := range uint64(3) {
		for _, root := range roots {
			block := slashing.Block{Slot: target, Root: root, RootUnknown: root == eth2.Root{}}
			for source := range target + 1 {
				attestation := slashing.Attestation{Source: source, Target: target, Root: root, RootUnknown: block.RootUnknown}
				some = append(some, slashing.Record{Attestation: &attestation, Block: &block})
			}
		}
	}
	some = append(some, slashing.Record{Attestation: some[0].Attestation}, slashing.Record{Block: some[0].Block})
	var first, second, want []slashing.Record
	for _, a := range some {
		for _, b := range some {
			var key bls.PublicKey
			binary.BigEndian.PutUint32(key[:], uint32(len(want)))
			a.Key, b.Key = key, key
			first, second, want = append(first, a), append(second, b), append(want, slashing.Merged(a, b))
		}
	}
	s := open(t, options(newDatabase(t)))
	for _, records := range [][]slashing.Record{first, second} {
		if err := s.Merge(t.Context(), records); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, allOf(t, s)); diff != "" {
		t.Error(diff)
	}
}

// allOf is every record of a store.
func allOf(t *testing.T, s *postgres.Store) (all []slashing.Record) {
	t.Helper()
	err := s.Each(t.Context(), func(r slashing.Record) error {
		all = append(all, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
