package stored_test

import (
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
)

// BenchmarkLoad is the time from the unsealing to 10,000 keys that sign.
func BenchmarkLoad(b *testing.B) {
	const n = 10_000
	chamber := newSealer(b)
	items := sealedItems(b, chamber, n)
	for name, fresh := range stores() {
		b.Run(name, func(b *testing.B) {
			table := fresh(b)()
			fill(b, table, items)
			r := newReplica(b, table, chamber, func(o *stored.Options) { o.Readers = 16 })
			for b.Loop() {
				b.StopTimer()
				r.Drop()
				b.StartTimer()
				if err := r.Load(b.Context()); err != nil || r.keys.Len() != n {
					b.Fatalf("%d keys, %v", r.keys.Len(), err)
				}
			}
		})
	}
}

// BenchmarkReencrypt is the time that 1,000 keys take to get another master key.
func BenchmarkReencrypt(b *testing.B) {
	const n = 1000
	chamber := newSealer(b)
	items := sealedItems(b, chamber, n)
	for name, fresh := range stores() {
		b.Run(name, func(b *testing.B) {
			chamber.rotate(1)
			table := fresh(b)()
			fill(b, table, items)
			r := newReplica(b, table, chamber, func(o *stored.Options) { o.Readers = 16 })
			for generation := byte(2); b.Loop(); generation++ {
				chamber.rotate(generation)
				if left, err := r.Reencrypt(b.Context()); left != 0 || err != nil {
					b.Fatalf("%d left, %v", left, err)
				}
			}
		})
	}
}
