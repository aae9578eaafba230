package mnemonic

import (
	"bytes"
	"crypto/sha512"
	"crypto/subtle"
	"hash"
	"slices"

	"golang.org/x/text/unicode/norm"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// rounds is the iteration count of PBKDF2 in BIP-39.
const rounds = 2048

// Seed returns the 64 bytes that a tree of keys grows from, for a mnemonic as New makes it and a passphrase, which may be empty. The mnemonic
// stays the caller's.
func Seed(words []byte, passphrase string) secret.Bytes {
	// One block of PBKDF2 with HMAC-SHA-512 (RFC 8018). The standard library takes the password as a string, and its HMAC keeps the key,
	// which is as good as the seed; neither can be wiped.
	mac := newMAC(words)
	defer mac.wipe()
	u := mac.sum(nil, []byte("mnemonic"+norm.NFKD.String(passphrase)+"\x00\x00\x00\x01"))
	defer clear(u)
	seed := slices.Clone(u)
	for range rounds - 1 {
		u = mac.sum(u[:0], u)
		subtle.XORBytes(seed, seed, u)
	}
	return secret.New(seed)
}

// mac is HMAC-SHA-512 (RFC 2104) with a key that can be wiped.
type mac struct {
	inner, outer []byte // the key, padded and masked
	hash         hash.Hash
}

func newMAC(key []byte) *mac {
	m := &mac{
		inner: bytes.Repeat([]byte{0x36}, sha512.BlockSize),
		outer: bytes.Repeat([]byte{0x5c}, sha512.BlockSize),
		hash:  sha512.New(),
	}
	if len(key) > sha512.BlockSize {
		short := sha512.Sum512(key)
		defer clear(short[:])
		key = short[:]
	}
	subtle.XORBytes(m.inner, m.inner, key)
	subtle.XORBytes(m.outer, m.outer, key)
	return m
}

// sum appends the code of a message to out, which may share the message's memory.
func (m *mac) sum(out, message []byte) []byte {
	m.hash.Reset()
	m.hash.Write(m.inner)
	m.hash.Write(message)
	first := m.hash.Sum(out)
	m.hash.Reset()
	m.hash.Write(m.outer)
	m.hash.Write(first[len(out):])
	return m.hash.Sum(out)
}

func (m *mac) wipe() {
	clear(m.inner)
	clear(m.outer)
	m.hash.Reset()
}
