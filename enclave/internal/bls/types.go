package bls

import (
	"encoding/hex"
	"errors"
	"strings"
)

// PublicKey is a compressed G1 point, 48 bytes.
type PublicKey [48]byte

// Signature is a compressed G2 point, 96 bytes.
type Signature [96]byte

// ErrPublicKeyFormat is returned for text that is not 96 hexadecimal digits.
var ErrPublicKeyFormat = errors.New("public key is not 96 hexadecimal digits, with or without 0x")

// ParsePublicKey reads 96 hexadecimal digits of either case, with or without 0x. It does not check that the
// point is on the curve: it names a key, nothing is verified with it.
func ParsePublicKey(s string) (PublicKey, error) {
	var k PublicKey
	s = strings.TrimPrefix(s, "0x")
	if len(s) != 2*len(k) {
		return PublicKey{}, ErrPublicKeyFormat
	}
	if _, err := hex.Decode(k[:], []byte(s)); err != nil {
		return PublicKey{}, ErrPublicKeyFormat
	}
	return k, nil
}

// String is 0x and 96 lower-case digits.
func (k PublicKey) String() string { return "0x" + hex.EncodeToString(k[:]) }

// Short is the first four bytes, for logs.
func (k PublicKey) Short() string { return "0x" + hex.EncodeToString(k[:4]) }

// String is 0x and 192 lower-case digits.
func (s Signature) String() string { return "0x" + hex.EncodeToString(s[:]) }
