package shamir

import (
	"fmt"
	"io"
	"slices"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// Split makes n shares of key, numbered from 1, any threshold of which rebuild it; with a threshold of 1 each is the key itself. The key
// stays the caller's. random is crypto/rand's Reader, outside of tests. It returns ErrKeySize, ErrThreshold, secret.ErrWiped or an error
// of random, and no shares then.
func Split(key secret.Bytes, threshold, n int, random io.Reader) ([]Share, error) {
	if threshold < 1 || threshold > n || n > MaxShares {
		return nil, fmt.Errorf("split a key %d of %d: %w", threshold, n, ErrThreshold)
	}
	var values [][]byte
	if err := key.Use(func(b []byte) (err error) {
		if len(b) != KeySize {
			return ErrKeySize
		}
		values, err = split(b, threshold, n, random)
		return err
	}); err != nil {
		return nil, fmt.Errorf("split a key %d of %d: %w", threshold, n, err)
	}
	shares := make([]Share, n)
	for i, value := range values {
		shares[i] = Share{Number: byte(i + 1), Value: secret.New(value)}
	}
	return shares, nil
}

// split gives the values at 1 to n of polynomials, one for each byte of key, which is their value at 0. All other coefficients are
// random, zero like any other byte: a highest one that is never zero would tell threshold - 1 shares which key it is not.
func split(key []byte, threshold, n int, random io.Reader) ([][]byte, error) {
	coefficients := make([]byte, (threshold-1)*len(key))
	defer clear(coefficients)
	if _, err := io.ReadFull(random, coefficients); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	values := make([][]byte, n)
	for i := range values {
		values[i] = make([]byte, len(key))
		for c := range slices.Chunk(coefficients, len(key)) {
			scaleAdd(values[i], byte(i+1), c)
		}
		scaleAdd(values[i], byte(i+1), key)
	}
	return values, nil
}
