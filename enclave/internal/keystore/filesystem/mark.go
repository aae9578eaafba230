package filesystem

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// mark stands for the content of files, to tell whether it has changed.
type mark [sha256.Size]byte

// marker makes marks under a key of its own. A plain digest of a password beside its keystore would spare whoever finds it in
// memory the work of scrypt.
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
	h.Write(make([]byte, sha256.BlockSize)) // so that the hash's buffer does not keep the end of a password
	h.Sum(sum[:0])
	return sum
}
