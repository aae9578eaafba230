package storetest

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// BenchmarkLoad loads 10,000 keys of 300 bytes with 16 readers, from an empty store that it fills first.
func BenchmarkLoad(b *testing.B, k store.Keys) {
	const keys, writers = 10_000, 8
	var next atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for n := int(next.Add(1)); n <= keys; n = int(next.Add(1)) {
				if err := k.Put(b.Context(), store.Key{PublicKey: Public(n), Version: 1, Status: store.Active, Body: make([]byte, 300)}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for b.Loop() {
		n := 0
		if _, err := k.Load(b.Context(), []store.Status{store.Active}, 16, func(store.Key) error { n++; return nil }); err != nil || n != keys {
			b.Fatalf("%d keys, %v", n, err)
		}
	}
}
