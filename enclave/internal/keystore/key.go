// Package keystore holds the validator keys in memory.
package keystore

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Key signs for one validator. It does not print.
type Key struct {
	secret.Redacted
	scalar *bls.SecretKey
	source Source // set by the keystore, before others see the key
	canary uint32 // read and written atomically; 1 is true
}

// NewKey takes a secret key over: the keystore wipes it.
func NewKey(scalar *bls.SecretKey) *Key { return &Key{scalar: scalar} }

// SetCanary says whether nobody should ever ask for the key.
func (k *Key) SetCanary(canary bool) {
	word := uint32(0)
	if canary {
		word = 1
	}
	atomic.StoreUint32(&k.canary, word)
}

func (k *Key) isCanary() bool { return atomic.LoadUint32(&k.canary) == 1 }

// PublicKey names the key.
func (k *Key) PublicKey() bls.PublicKey { return k.scalar.PublicKey() }

// Sign redeems the permit and signs its root, hashed by messages. It returns an error if the permit is not for this key or was used,
// and one that wraps secret.ErrWiped if the key was dropped since it was found; the permit is then used up too.
func (k *Key) Sign(permit slashing.Permit, messages *bls.Messages) (bls.Signature, error) {
	root, err := permit.Redeem(k.PublicKey())
	if err != nil {
		return bls.Signature{}, fmt.Errorf("sign with %s: %w", k.PublicKey().Short(), err)
	}
	sig, err := k.scalar.SignMessage(messages.Of(root))
	if err != nil {
		return bls.Signature{}, fmt.Errorf("sign with %s: %w", k.PublicKey().Short(), err)
	}
	return sig, nil
}

// Wipe overwrites the secret with zeros, once signatures under way are done. It is for keys that no keystore has taken.
func (k *Key) Wipe() { k.scalar.Wipe() }

// Source is where a key came from. Zero is nowhere.
type Source uint8

// The sources.
const (
	Filesystem Source = iota + 1
	Stored            // encrypted, in a database
	Memory            // imported at run time, gone at the end
)

// Sources lists them, in the order in which they load.
func Sources() []Source { return []Source{Filesystem, Stored, Memory} }

// String is the source's metric label.
func (s Source) String() string {
	switch s {
	case Filesystem:
		return "filesystem"
	case Stored:
		return "stored"
	case Memory:
		return "memory"
	}
	return "unknown"
}

// ErrDuplicate is returned for a key that is loaded already.
var ErrDuplicate = errors.New("the key is loaded already")
