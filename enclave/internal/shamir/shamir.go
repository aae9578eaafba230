// Package shamir splits a master key into shares of which a threshold rebuilds it.
//
// The scheme is Shamir's (How to share a secret, 1979), one polynomial for each byte of the key, over GF(2^8) with the polynomial of AES
// (FIPS 197, section 4): share i is the value at i, the key the value at 0. Fewer shares than the threshold say nothing about the key. The
// shares carry no checksum: each is authenticated by the AEAD that it is stored under, and the rebuilt key is checked against its id.
//
// It does not use secretsharing of github.com/cloudflare/circl. That shares scalars of a group, numbers below its order, into which a
// string of 256 bits does not map one to one. What it offers beyond Shamir, checking a share against Feldman's commitments, needs the code
// of a curve and commitments stored and authenticated beside the shares, and tells no more than the AEAD does. And a module in the enclave
// image, of which there is room for few, is worth it for more than a multiplication in eight steps.
package shamir

import (
	"errors"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

const (
	// KeySize is the size of a key, and of each share's value, in bytes.
	KeySize = 32
	// MaxShares is the most shares that a key is split into, so that trying all thresholds among them, at most 12,870, takes a tenth of a second.
	MaxShares = 16
)

var (
	// ErrThreshold is returned for a threshold that is not between 1 and the number of shares, or for more than MaxShares.
	ErrThreshold = errors.New("need 1 ≤ threshold ≤ shares ≤ 16")
	// ErrKeySize is returned for a key that is not of KeySize.
	ErrKeySize = errors.New("the key is not 32 bytes")
	// ErrNumber is the fault of a share whose number is not between 1 and MaxShares.
	ErrNumber = errors.New("the number is not between 1 and 16")
	// ErrDuplicate is the fault of a share whose number an earlier one has.
	ErrDuplicate = errors.New("another share has the same number")
	// ErrSize is the fault of a share whose value is not of KeySize.
	ErrSize = errors.New("the value is not 32 bytes")
	// ErrInconsistent is returned for shares beyond the threshold that do not agree: some are wrong, or of another key. Locate finds them.
	ErrInconsistent = errors.New("the shares do not agree on one key")
	// ErrNoKey is returned when no threshold of the shares gives the key.
	ErrNoKey = errors.New("no threshold of the shares gives the key")
	// ErrAmbiguous is returned when the key is found, but as many shares speak for one set of wrong shares as for another.
	ErrAmbiguous = errors.New("the shares do not tell which of them are wrong")
)

// ShareError says what is wrong with one share.
type ShareError struct {
	Number byte
	Err    error // ErrNumber, ErrDuplicate, ErrSize, or secret.ErrWiped
}

// Error implements error.
func (e *ShareError) Error() string { return fmt.Sprintf("share %d: %v", e.Number, e.Err) }

// Unwrap gives the fault.
func (e *ShareError) Unwrap() error { return e.Err }

// TooFewError is returned for fewer shares than the threshold.
type TooFewError struct {
	Have, Need int
}

// Error implements error.
func (e *TooFewError) Error() string {
	return fmt.Sprintf("%d shares, and %d are needed", e.Have, e.Need)
}

// Share is one custodian's part of a key.
type Share struct {
	Number byte         // from 1 to the number of shares, never 0, where the key is; not secret
	Value  secret.Bytes // of KeySize
}

// Wipe overwrites the value with zeros.
func (s Share) Wipe() { s.Value.Wipe() }

// usable returns what keeps shares from rebuilding a key: the first share that is not one, or how many are missing.
func usable(shares []Share, threshold int) error {
	if threshold < 1 || threshold > MaxShares {
		return fmt.Errorf("threshold %d: %w", threshold, ErrThreshold)
	}
	var seen [MaxShares + 1]bool
	for _, s := range shares {
		if s.Number < 1 || s.Number > MaxShares {
			return &ShareError{s.Number, ErrNumber}
		}
		if seen[s.Number] {
			return &ShareError{s.Number, ErrDuplicate}
		}
		seen[s.Number] = true
		if err := s.use(func(value []byte) error {
			if len(value) != KeySize {
				return ErrSize
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if len(shares) < threshold {
		return &TooFewError{Have: len(shares), Need: threshold}
	}
	return nil
}

// use lends f the value, and names the share in its error.
func (s Share) use(f func(value []byte) error) error {
	if err := s.Value.Use(f); err != nil {
		return &ShareError{s.Number, err}
	}
	return nil
}
