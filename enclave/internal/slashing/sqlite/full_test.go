package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// TestFullDatabase: a database that may not grow refuses new keys, batch by batch and whole, and those on record go on.
func TestFullDatabase(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "s.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	limit := func(pages int) {
		var got int // what it has already, if that is more
		if err := s.db.QueryRowContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)).Scan(&got); err != nil {
			t.Fatal(err)
		}
	}
	batch := func(n int) []slashing.Claim {
		claims := make([]slashing.Claim, 8)
		for i := range claims {
			claims[i] = slashing.Claim{Key: bls.PublicKey{byte(n), byte(n >> 8), byte(i)}, Vote: slashing.Block{Slot: uint64(n)}}
		}
		return claims
	}
	limit(1)
	recorded := 0
	for ; recorded < 1000; recorded++ {
		if _, err = s.Advance(t.Context(), batch(recorded)); err != nil {
			break
		}
	}
	if !errors.Is(err, slashing.ErrUnavailable) || !full(err) || recorded == 0 {
		t.Fatalf("after %d batches: %v", recorded, err)
	}
	records := 0
	if err := s.Each(t.Context(), func(slashing.Record) error { records++; return nil }); err != nil || records != 8*recorded {
		t.Errorf("%d records, want %d (%v)", records, 8*recorded, err)
	}
	same := batch(0)
	if outcomes, err := s.Advance(t.Context(), same); err != nil || !outcomes[7].Permits(same[7].Vote) {
		t.Errorf("keys on record: %v, %v", outcomes, err)
	}
	limit(1 << 20)
	refused := batch(recorded)
	if outcomes, err := s.Advance(t.Context(), refused); err != nil || !outcomes[7].Permits(refused[7].Vote) {
		t.Errorf("once it may grow: %v, %v", outcomes, err)
	}
}
