package main

import (
	"crypto/rand"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

// lightRounds of PBKDF2 protect nothing, and take no time.
const lightRounds = 16

// makeKeystores writes as many EIP-2335 keystores, with their passwords beside them, and returns the public keys.
func (w *world) makeKeystores() ([]string, error) {
	keys := make([]string, w.keyCount)
	var making errgroup.Group
	making.SetLimit(runtime.GOMAXPROCS(0))
	for i := range keys {
		making.Go(func() (err error) {
			keys[i], err = makeKeystore(w.path("keys"))
			return err
		})
	}
	return keys, making.Wait()
}

func makeKeystore(dir string) (string, error) {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails
	key, err := bls.SecretKeyFromSeed(seed[:])
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	defer key.Wipe()
	return key.PublicKey().String(), filesystem.WriteKeystore(dir, key, []byte(randomText()), lightRounds)
}
