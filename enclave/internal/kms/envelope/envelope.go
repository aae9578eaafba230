// Package envelope opens what AWS KMS encrypts to the key of an enclave.
package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
)

// ErrEnvelope is in every error of [Open], with what is wrong with the structure. About what depends on a secret, the padding of the
// key and that of the content, it says nothing more.
var ErrEnvelope = errors.New("the envelope cannot be opened")

// Open returns the content of a CiphertextForRecipient of AWS KMS: CMS EnvelopedData (RFC 5652, section 6) in a basic encoding, for one
// recipient, named by the SHA-256 of its SubjectPublicKeyInfo, with RSAES-OAEP over SHA-256 and AES-256-CBC. Nothing else is opened.
//
// The content is not authenticated: who can change the envelope can change it, by the IV and the ciphertext. That it comes from KMS is for
// the TLS connection to see to.
func Open(key *rsa.PrivateKey, envelope []byte) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: name the recipient: %w", ErrEnvelope, err)
	}
	name := sha256.Sum256(spki)
	s, err := parse(envelope, name[:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	if len(s.key) != key.Size() {
		return nil, fmt.Errorf("%w: encryptedKey has %d bytes, want %d", ErrEnvelope, len(s.key), key.Size())
	}
	contentKey, err := rsa.DecryptOAEP(sha256.New(), nil, key, s.key, nil)
	defer clear(contentKey)
	if err != nil || len(contentKey) != 32 {
		return nil, ErrEnvelope
	}
	block, err := aes.NewCipher(contentKey)
	if err != nil {
		return nil, ErrEnvelope
	}
	padded := make([]byte, len(s.ciphertext))
	cipher.NewCBCDecrypter(block, s.iv).CryptBlocks(padded, s.ciphertext)
	n, ok := unpadded(padded)
	if !ok {
		clear(padded)
		return nil, ErrEnvelope
	}
	return padded[:n:n], nil
}

// unpadded is how many of the bytes, of which there is at least a block, are no padding (RFC 5652, section 6.3). It looks at all bytes
// that could be some, in the same time whatever they are.
func unpadded(padded []byte) (n int, ok bool) {
	last := padded[len(padded)-1]
	good := subtle.ConstantTimeLessOrEq(1, int(last)) & subtle.ConstantTimeLessOrEq(int(last), aes.BlockSize)
	for i := range aes.BlockSize {
		isPadding := subtle.ConstantTimeLessOrEq(i+1, int(last))
		right := subtle.ConstantTimeByteEq(padded[len(padded)-1-i], last)
		good &= subtle.ConstantTimeSelect(isPadding, right, 1)
	}
	return len(padded) - int(last), good == 1
}
