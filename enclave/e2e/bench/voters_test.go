package main

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// TestVoters: nobody is refused, which a vote below the key's last one would be, and every vote is written.
func TestVoters(t *testing.T) {
	for _, test := range []struct {
		name                string
		keys, callers, each int
	}{
		{"one key each", 4, 4, 5},
		{"some have a second key", 7, 4, 9},
		{"more keys than votes", 100, 4, 3},
		{"one caller", 3, 1, 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := storetest.NewMemory()
			v := voters{guard: slashing.NewGuard(store, time.Second), chain: testChain(t)}
			var wrote atomic.Int64
			v.guard.OnWrite(func(votes int, _ time.Duration, _ error) { wrote.Add(int64(votes)) })
			if err := v.enrol(t.Context(), test.keys); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := v.crowd(t.Context(), test.callers, test.each); err != nil {
					t.Fatal(err)
				}
				for range 2 * test.keys {
					if _, err := v.alone(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			if want := int64(test.keys + 2*(test.callers*test.each+2*test.keys)); wrote.Load() != want {
				t.Errorf("%d votes written, want %d", wrote.Load(), want)
			}
			distinct := map[bls.PublicKey]bool{}
			for _, key := range v.keys {
				distinct[key] = true
			}
			if len(distinct) != test.keys {
				t.Errorf("%d different keys of %d", len(distinct), test.keys)
			}
		})
	}
}

// TestRefusedVoters: a store that refuses is not measured.
func TestRefusedVoters(t *testing.T) {
	store := storetest.NewMemory()
	v := voters{guard: slashing.NewGuard(store, time.Second), chain: testChain(t)}
	if err := v.enrol(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := store.SetHighWatermark(t.Context(), nil, slashing.HighWatermark{}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.crowd(t.Context(), 2, 1); err == nil {
		t.Error("a refused crowd is measured")
	}
	if _, err := v.alone(t.Context()); err == nil {
		t.Error("a refused vote is measured")
	}
}
