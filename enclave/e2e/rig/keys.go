package rig

import (
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

// lightRounds of PBKDF2 protect nothing, and take no time.
const lightRounds = 16

// MakeKeystore makes a worthless key and writes it as an EIP-2335 keystore, with its password beside it. It returns the public key.
func MakeKeystore(dir string) (string, error) {
	return makeKey(func(key *bls.SecretKey) error {
		return filesystem.WriteKeystore(dir, key, []byte(RandomText()), lightRounds)
	})
}

// MakeRaw makes a worthless key and writes it in clear. It returns the public key.
func MakeRaw(dir string) (string, error) {
	return makeKey(func(key *bls.SecretKey) error { return filesystem.WriteRaw(dir, key) })
}

func makeKey(write func(*bls.SecretKey) error) (string, error) {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails
	key, err := bls.SecretKeyFromSeed(seed[:])
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	defer key.Wipe()
	return key.PublicKey().String(), write(key)
}

// RandomText is a password or token that nobody guesses.
func RandomText() string { return strings.ToLower(rand.Text()) }
