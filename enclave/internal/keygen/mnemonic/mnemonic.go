// Package mnemonic makes mnemonics of 24 English words and the seeds of key trees from them (BIP-39).
package mnemonic

import (
	"crypto/rand"
	"crypto/sha256"
	_ "embed" // the list of words
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

const (
	// entropySize is what 24 words hold beside their checksum, in bytes.
	entropySize = 32
	// wordBits is how many bits a word holds: the list has 2^11.
	wordBits = 11
	// maxWord is the size of the longest word in bytes.
	maxWord = 8
)

// english is the list of BIP-39, one word on each line: testdata/NOTICE.md says where it is from.
//
//go:embed english.txt
var english string

// New makes a mnemonic of 24 words, of 256 bits from the system's random generator: lower-case words with single spaces between.
func New() secret.Bytes {
	entropy := make([]byte, entropySize)
	defer clear(entropy)
	_, _ = rand.Read(entropy) // never fails
	return secret.New(encode(entropy))
}

// encode returns the words of 16, 20, 24, 28 or 32 bytes.
func encode(entropy []byte) []byte {
	list := strings.Fields(english)
	sum := sha256.Sum256(entropy)
	bits := make([]byte, 0, len(entropy)+1)
	bits = append(append(bits, entropy...), sum[0]) // the checksum has at most 8 bits
	defer clear(bits)
	words := len(entropy) * 3 / 4
	text := make([]byte, 0, words*(maxWord+1)) // enough, so that growing leaves no copy behind
	for i := range words {
		if i > 0 {
			text = append(text, ' ')
		}
		text = append(text, list[word(bits, i*wordBits)]...)
	}
	return text
}

// word is the number in the 11 bits from a position on.
func word(bits []byte, from int) (n int) {
	for i := from; i < from+wordBits; i++ {
		n = n<<1 | int(bits[i/8]>>(7-i%8)&1)
	}
	return n
}
