package kmstest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// A ciphertext is version 1, the key's ARN behind its length, a salt, and what AES-256-GCM makes of the plaintext under a key derived
// with that salt: some 170 bytes for 32, as at AWS. All that comes before it, and the encryption context, are authenticated with it.
const (
	blobVersion = 1
	saltSize    = 32
	nonceSize   = 12
	tagSize     = 16
)

var errBlob = errors.New("not a ciphertext of this server")

// encrypt encrypts under the key's material.
func (k *key) encrypt(plaintext []byte, context map[string]string) ([]byte, error) {
	blob := append([]byte{blobVersion, byte(len(k.arn))}, k.arn...)
	salt := random(saltSize)
	blob = append(blob, salt...)
	aead, err := k.aead(salt)
	if err != nil {
		return nil, err
	}
	nonce := random(nonceSize)
	sealed := aead.Seal(nil, nonce, plaintext, authenticated(blob, context))
	return slices.Concat(blob, nonce, sealed), nil
}

// decrypt undoes encrypt. It does not tell which byte of ciphertext or context is another.
func (k *key) decrypt(blob []byte, context map[string]string) ([]byte, error) {
	arn, head, rest, err := splitBlob(blob)
	if err != nil || arn != k.arn {
		return nil, errBlob
	}
	aead, err := k.aead(head[len(head)-saltSize:])
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, rest[:nonceSize], rest[nonceSize:], authenticated(head, context))
	if err != nil {
		return nil, errBlob
	}
	return plaintext, nil
}

// splitBlob tells which key a ciphertext is of, and what comes before the nonce.
func splitBlob(blob []byte) (arn string, head, rest []byte, err error) {
	if len(blob) < 2 || blob[0] != blobVersion {
		return "", nil, nil, errBlob
	}
	end := 2 + int(blob[1])
	if len(blob) < end+saltSize+nonceSize+tagSize {
		return "", nil, nil, errBlob
	}
	return string(blob[2:end]), blob[:end+saltSize], blob[end+saltSize:], nil
}

func (k *key) aead(salt []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, k.material, salt, "kmstest ciphertext", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// authenticated is unambiguous: each text stands behind its length, in the order of the names.
func authenticated(head []byte, context map[string]string) []byte {
	all := slices.Clone(head)
	for _, name := range slices.Sorted(maps.Keys(context)) {
		for _, text := range []string{name, context[name]} {
			all = binary.BigEndian.AppendUint32(all, uint32(len(text)))
			all = append(all, text...)
		}
	}
	return all
}
