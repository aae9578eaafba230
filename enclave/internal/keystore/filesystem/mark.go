package filesystem

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// mark stands for the content of files, to tell whether it has changed.
type mark [sha256.Size]byte

// marker makes marks under a random key of its own. A mark covers a password, and stays in memory for as long as its file is there.
// With a plain digest whoever finds it could guess passwords without the work of scrypt; a mark is of use only together with the key,
// which is in the same memory, but so are the validator keys.
type marker struct{ key [sha256.Size]byte }

func newMarker() (m marker) {
	_, _ = rand.Read(m.key[:]) // never fails: crypto/rand
	return m
}

// of marks contents in their order.
func (m *marker) of(contents ...[]byte) (sum mark) {
	h := hmac.New(sha256.New, m.key[:])
	var size [8]byte
	for _, b := range contents {
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		h.Write(size[:])
		h.Write(b)
	}
	// The hash's buffer may hold a part of a password. Zeros overwrite all of it in two writes; one of a whole block would pass it by.
	h.Write(make([]byte, sha256.BlockSize/2))
	h.Write(make([]byte, sha256.BlockSize/2))
	h.Sum(sum[:0])
	return sum
}
