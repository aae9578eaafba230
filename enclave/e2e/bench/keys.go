package main

import (
	"encoding/binary"
	"fmt"
	"os"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

// seedKey derives a worthless key from its number.
func seedKey(number int) (*bls.SecretKey, error) {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(number))
	key, err := bls.SecretKeyFromSeed(seed[:])
	if err != nil {
		return nil, fmt.Errorf("make key %d: %w", number, err)
	}
	return key, nil
}

// writeKeys makes a directory with n raw keys and returns their public halves.
func writeKeys(dir string, n int) ([]bls.PublicKey, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the key directory: %w", err)
	}
	public := make([]bls.PublicKey, n)
	for i := range n {
		key, err := seedKey(i)
		if err != nil {
			return nil, err
		}
		public[i] = key.PublicKey()
		err = filesystem.WriteRaw(dir, key)
		key.Wipe()
		if err != nil {
			return nil, err
		}
	}
	return public, nil
}
