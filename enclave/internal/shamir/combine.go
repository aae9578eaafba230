package shamir

import (
	"crypto/subtle"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// Combine rebuilds the key that was split with this threshold, from so many shares or more, in any order. The shares stay the caller's. It
// returns a *ShareError, a *TooFewError, ErrThreshold, or ErrInconsistent if those beyond the threshold do not agree with the others.
//
// Without shares beyond the threshold any values give some key: the caller checks it against the key's id.
func Combine(shares []Share, threshold int) (secret.Bytes, error) {
	key, err := combine(shares, threshold)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("rebuild a key: %w", err)
	}
	return key, nil
}

func combine(shares []Share, threshold int) (secret.Bytes, error) {
	if err := usable(shares, threshold); err != nil {
		return secret.Bytes{}, err
	}
	enough := shares[:threshold]
	for _, s := range shares[threshold:] {
		if fits, err := agrees(s, enough); err != nil {
			return secret.Bytes{}, err
		} else if !fits {
			return secret.Bytes{}, ErrInconsistent
		}
	}
	return keyOf(enough)
}

// keyOf is the key that so many shares as the threshold give.
func keyOf(shares []Share) (secret.Bytes, error) {
	key := make([]byte, KeySize)
	if err := interpolate(key, 0, shares); err != nil {
		clear(key)
		return secret.Bytes{}, err
	}
	return secret.New(key), nil
}

// agrees says whether a share lies on the polynomials through the others.
func agrees(s Share, others []Share) (fits bool, err error) {
	want := make([]byte, KeySize)
	defer clear(want)
	if err := interpolate(want, s.Number, others); err != nil {
		return false, err
	}
	err = s.use(func(value []byte) error {
		fits = subtle.ConstantTimeCompare(value, want) == 1
		return nil
	})
	return fits, err
}

// interpolate adds to y, which is zero, what the polynomials through the shares give at x. The shares have numbers of their own and
// values as long as y.
func interpolate(y []byte, x byte, shares []Share) error {
	for i, s := range shares {
		if err := s.use(func(value []byte) error {
			addScaled(y, weight(x, i, shares), value)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// weight is what share i counts for at x: Lagrange's polynomial, which is 1 at its number and 0 at the others'.
func weight(x byte, i int, shares []Share) byte {
	above, below := byte(1), byte(1)
	for j, s := range shares {
		if j != i {
			above = mul(above, x^s.Number)
			below = mul(below, shares[i].Number^s.Number)
		}
	}
	return mul(above, inv(below))
}
