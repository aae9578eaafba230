package keystore

import (
	"encoding/binary"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// TestDraftLeavesTheSetAlone: readers have the set while the next one is made from it.
func TestDraftLeavesTheSetAlone(t *testing.T) {
	const n = 1000 // several in each part
	keys := make([]*Key, n)
	d := new(set).draft()
	for i := range keys {
		scalar := make([]byte, bls.SecretKeySize)
		binary.BigEndian.PutUint32(scalar[28:], uint32(i+1))
		made, err := bls.NewSecretKey(scalar)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = &Key{scalar: made, source: Stored}
		if i%2 == 0 {
			d.add(keys[i])
		}
	}
	before := d.set
	next := before.draft()
	for i, key := range keys {
		if i%2 == 0 {
			next.remove(key)
		} else {
			next.add(key)
		}
	}
	for i, key := range keys {
		_, was := before.find(key.PublicKey())
		_, is := next.find(key.PublicKey())
		if was != (i%2 == 0) || is == was {
			t.Errorf("key %d: found before %v, after %v", i, was, is)
		}
	}
	if before.size != n/2 || next.size != n/2 || before.counts[Stored] != n/2 {
		t.Errorf("sizes %d and %d", before.size, next.size)
	}
}
