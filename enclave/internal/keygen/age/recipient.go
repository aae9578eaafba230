package age

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"strings"
)

const (
	// prefix begins a recipient: what is human-readable in its Bech32 form, and the separator.
	prefix = "age1"
	// recipientSize is the length of a recipient: its prefix, 52 characters for 32 bytes, and 6 for the checksum.
	recipientSize = len(prefix) + 52 + checksumSize
)

// Recipient is somebody who can read a file: an X25519 public key.
type Recipient struct {
	public *ecdh.PublicKey
}

// ParseRecipient reads a recipient as age-keygen prints it, age1 and 58 characters. Other kinds of recipients that begin with age1, those
// of plugins and the post-quantum ones, are refused.
func ParseRecipient(s string) (Recipient, error) {
	data, ok := strings.CutPrefix(s, prefix)
	switch {
	case !ok:
		return Recipient{}, errors.New("does not begin with age1")
	case len(s) != recipientSize:
		return Recipient{}, fmt.Errorf("has %d characters, an X25519 recipient has %d; other kinds are not supported", len(s), recipientSize)
	}
	key, err := decodeBech32("age", data)
	if err != nil {
		return Recipient{}, err
	}
	public, err := ecdh.X25519().NewPublicKey(key)
	if err != nil {
		return Recipient{}, fmt.Errorf("is no X25519 key: %w", err)
	}
	// A point of low order gives every sender the same secret, which the exchange refuses; better now than with the first file.
	probe, err := ecdh.X25519().NewPrivateKey(make([]byte, 32))
	if err == nil {
		_, err = probe.ECDH(public)
	}
	if err != nil {
		return Recipient{}, fmt.Errorf("is no X25519 key that hides anything: %w", err)
	}
	return Recipient{public}, nil
}

// Equal says whether both are the same key.
func (r Recipient) Equal(other Recipient) bool { return r.public.Equal(other.public) }
