package main

import (
	"encoding/binary"
	"testing"

	blst "github.com/supranational/blst/bindings/go"
)

// BenchmarkBareSignature compares the yardstick with the library's own Go call: ratios against a slow yardstick would look
// better than they are. Ours also unpacks and wipes the key.
func BenchmarkBareSignature(b *testing.B) {
	b.Run("library", func(b *testing.B) {
		key := blst.KeyGen(make([]byte, 32))
		suite := []byte("BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_")
		var root [32]byte
		for n := uint64(0); b.Loop(); n++ {
			binary.LittleEndian.PutUint64(root[:], n)
			new(blst.P2Affine).Sign(key, root[:], suite).Compress()
		}
	})
	b.Run("yardstick", func(b *testing.B) {
		y, err := newYardstick()
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := y.sign(y.keys[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
