// Package bls signs with the keys of Ethereum validators.
package bls

import (
	"errors"

	blst "github.com/supranational/blst/bindings/go"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// SecretKeySize is the size of a secret key in bytes.
const SecretKeySize = 32

// suite is the ciphersuite of the consensus specification: minimal public keys, proof of possession.
const suite = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"

var (
	// ErrSecretKey is returned for bytes that are no secret key.
	ErrSecretKey = errors.New("secret key is not 32 bytes, or is zero, or not below the order of the curve")
	// ErrSeed is returned for a seed too short to make a key from.
	ErrSeed = errors.New("seed is shorter than 32 bytes")
)

// SecretKey is a scalar that does not print and can be wiped. It is safe for concurrent use.
type SecretKey struct {
	secret.Redacted
	scalar secret.Bytes
	public PublicKey
}

// NewSecretKey takes over 32 bytes, big-endian: the key wipes them on Wipe, and an ErrSecretKey wipes them at once.
func NewSecretKey(b []byte) (*SecretKey, error) {
	if len(b) != SecretKeySize {
		clear(b)
		return nil, ErrSecretKey
	}
	k := &SecretKey{scalar: secret.New(b)}
	err := k.withScalar(func(sk *blst.SecretKey) {
		copy(k.public[:], new(blst.P1Affine).From(sk).Compress())
	})
	if err != nil {
		k.Wipe()
		return nil, err
	}
	return k, nil
}

// SecretKeyFromSeed derives a key from at least 32 bytes of entropy, by the KeyGen of the BLS signature draft, which
// is the master key derivation of EIP-2333. The seed stays the caller's.
func SecretKeyFromSeed(seed []byte) (*SecretKey, error) {
	sk := blst.KeyGen(seed)
	if sk == nil {
		return nil, ErrSeed
	}
	defer sk.Zeroize()
	return NewSecretKey(sk.Serialize())
}

// PublicKey is the public half. It outlives Wipe.
func (k *SecretKey) PublicKey() PublicKey { return k.public }

// Use calls f with the 32 bytes of the key, which f must neither keep nor change: for those who encrypt it.
func (k *SecretKey) Use(f func(b []byte) error) error { return k.scalar.Use(f) }

// Wipe overwrites the key with zeros, once signatures under way are done.
func (k *SecretKey) Wipe() { k.scalar.Wipe() }

// withScalar lends f the library's form of the key, which costs nanoseconds to make beside the signature, so that
// only one copy, the one that Wipe reaches, lives longer than a call.
func (k *SecretKey) withScalar(f func(*blst.SecretKey)) error {
	return k.scalar.Use(func(b []byte) error {
		var sk blst.SecretKey
		defer sk.Zeroize()
		if sk.Deserialize(b) == nil {
			return ErrSecretKey
		}
		f(&sk)
		return nil
	})
}

// Verify says whether sig is key's signature over root. It checks that both points lie in their groups and that the
// key is not the point at infinity.
func Verify(key PublicKey, root [32]byte, sig Signature) bool {
	return new(blst.P2Affine).VerifyCompressed(sig[:], true, key[:], true, root[:], []byte(suite))
}
