package chambertest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// KMS seals in memory, with AES-256-GCM under a key for each ARN, bound to the encryption context.
type KMS struct {
	Enclave bool // answers to an attested enclave alone

	mu     sync.Mutex // held while the fields below are used
	keys   map[string]cipher.AEAD
	denied map[string]bool
}

// Deny has all calls with these keys fail, and those with no others.
func (k *KMS) Deny(arns ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.denied = map[string]bool{}
	for _, arn := range arns {
		k.denied[arn] = true
	}
}

func (k *KMS) key(arn kms.ARN) (cipher.AEAD, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.denied[arn.String()] {
		return nil, fmt.Errorf("KMS %s: %w: the key's policy says no", arn, kms.ErrDenied)
	}
	if a := k.keys[arn.String()]; a != nil {
		return a, nil
	}
	b := make([]byte, kms.DataKeySize)
	rand.Read(b)
	block, err := aes.NewCipher(b)
	if err != nil {
		return nil, err
	}
	a, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	if k.keys == nil {
		k.keys = map[string]cipher.AEAD{}
	}
	k.keys[arn.String()] = a
	return a, nil
}

// about is an encryption context as bytes: JSON sorts the names.
func about(ec map[string]string) []byte {
	b, _ := json.Marshal(ec) //nolint:errchkjson // strings
	return b
}

// Attested implements chamber.KMS.
func (k *KMS) Attested() bool { return k.Enclave }

// Decrypt implements chamber.KMS.
func (k *KMS) Decrypt(_ context.Context, arn kms.ARN, ciphertext []byte, ec map[string]string) (secret.Bytes, error) {
	a, err := k.key(arn)
	if err != nil {
		return secret.Bytes{}, err
	}
	plain, err := a.Open(nil, nil, ciphertext, about(ec))
	if err != nil {
		return secret.Bytes{}, kms.ErrInvalidCiphertext
	}
	return secret.New(plain), nil
}

// GenerateDataKey implements chamber.KMS.
func (k *KMS) GenerateDataKey(_ context.Context, arn kms.ARN, ec map[string]string) (secret.Bytes, []byte, error) {
	a, err := k.key(arn)
	if err != nil {
		return secret.Bytes{}, nil, err
	}
	plain := make([]byte, kms.DataKeySize)
	rand.Read(plain)
	return secret.New(plain), a.Seal(nil, nil, plain, about(ec)), nil //nolint:gosec // G407: it makes a nonce of its own
}

// Encrypt implements chamber.KMS.
func (k *KMS) Encrypt(_ context.Context, arn kms.ARN, plaintext secret.Bytes, ec map[string]string) (sealed []byte, err error) {
	a, err := k.key(arn)
	if err != nil {
		return nil, err
	}
	err = plaintext.Use(func(b []byte) error {
		sealed = a.Seal(nil, nil, b, about(ec)) //nolint:gosec // G407: it makes a nonce of its own
		return nil
	})
	return sealed, err
}
