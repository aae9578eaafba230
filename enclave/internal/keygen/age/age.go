// Package age encrypts small files to X25519 recipients in the format of the age tool (C2SP age.md, version 1).
package age

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	// MaxPlaintext is the most bytes that Encrypt takes: what fits into one chunk of the format.
	MaxPlaintext = 64 << 10

	version     = "age-encryption.org/v1"
	armor       = "AGE ENCRYPTED FILE"
	fileKeySize = 16
	nonceSize   = 16
)

// Encrypt returns what `age --decrypt` makes plaintext of, with the identity of any of the recipients, of which there must be one at least.
// It is text, the armored form, that goes through JSON and a clipboard. It tells how many recipients there are, not which. The plaintext
// stays the caller's.
func Encrypt(plaintext []byte, recipients []Recipient) ([]byte, error) {
	switch {
	case len(recipients) == 0:
		return nil, errors.New("encrypt with age: no recipients")
	case len(plaintext) > MaxPlaintext:
		return nil, fmt.Errorf("encrypt with age: %d bytes are more than %d", len(plaintext), MaxPlaintext)
	}
	fileKey := random(fileKeySize)
	defer clear(fileKey)
	file := []byte(version + "\n")
	for i, r := range recipients {
		stanza, err := wrap(fileKey, r)
		if err != nil {
			return nil, fmt.Errorf("encrypt with age to recipient %d: %w", i, err)
		}
		file = append(file, stanza...)
	}
	file, err := authenticate(fileKey, file)
	if err == nil {
		file, err = appendPayload(fileKey, file, plaintext)
	}
	if err != nil {
		return nil, fmt.Errorf("encrypt with age: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: armor, Bytes: file}), nil
}

// wrap returns the stanza that gives the file key to a recipient.
func wrap(fileKey []byte, r Recipient) ([]byte, error) {
	scalar := random(32)
	defer clear(scalar)
	ephemeral, err := ecdh.X25519().NewPrivateKey(scalar)
	if err != nil {
		return nil, err
	}
	shared, err := ephemeral.ECDH(r.public)
	if err != nil {
		return nil, err
	}
	defer clear(shared)
	share := ephemeral.PublicKey().Bytes()
	nonce := make([]byte, chacha20poly1305.NonceSize) // zero: the key is used once, because the ephemeral secret is
	//nolint:gosec // the format fixes this nonce
	body, err := seal(shared, slices.Concat(share, r.public.Bytes()), version+"/X25519", nonce, fileKey)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "-> X25519 %s\n%s\n", base64.RawStdEncoding.EncodeToString(share), base64.RawStdEncoding.EncodeToString(body)), nil
}

// authenticate ends a header with the proof that whoever wrote it knew the file key.
func authenticate(fileKey, header []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, fileKey, nil, "header", sha256.Size)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	header = append(header, "---"...)
	mac := hmac.New(sha256.New, key)
	mac.Write(header)
	return fmt.Appendf(header, " %s\n", base64.RawStdEncoding.EncodeToString(mac.Sum(nil))), nil
}

// appendPayload appends the only chunk, which is the last, as the last byte of its nonce says.
func appendPayload(fileKey, file, plaintext []byte) ([]byte, error) {
	salt := random(nonceSize)
	nonce := make([]byte, chacha20poly1305.NonceSize)
	nonce[len(nonce)-1] = 1
	chunk, err := seal(fileKey, salt, "payload", nonce, plaintext)
	return slices.Concat(file, salt, chunk), err
}

// seal encrypts with a key that it derives from a secret.
func seal(secret, salt []byte, info string, nonce, plaintext []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, secret, salt, info, chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nonce, plaintext, nil), nil
}

func random(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b) // never fails
	return b
}
