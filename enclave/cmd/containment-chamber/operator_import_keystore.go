package main

import (
	"context"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

// readyKeystore is a keystore that can be sent.
type readyKeystore struct {
	n              int // its file
	text, password []byte
}

func (r readyKeystore) wipe() {
	clear(r.text)
	clear(r.password)
}

// prepare reads a keystore, and decrypts it here if that is to be. It is false if there is nothing to send: the result of the file says why,
// or ctx has ended.
func (k *keyImport) prepare(ctx context.Context, n int) (readyKeystore, bool) {
	file := k.results.files[n]
	text, err := readSmall(file)
	if public, ok := publicKeyOf(text); err == nil && ok {
		if reason, stored := k.stored[public]; stored {
			k.results.set(n, chamber.Duplicate, public.String(), reason)
			k.bar.skip()
			return readyKeystore{}, false
		}
	}
	var password []byte
	if err == nil {
		password, err = k.passwords.of(file)
	}
	if err == nil && (!utf8.Valid(text) || !utf8.Valid(password)) {
		err = errors.New("the keystore or its password is not UTF-8")
	}
	ready := readyKeystore{n, text, password}
	if err == nil && k.memory != nil {
		ready.text, ready.password, err = reencrypt(ctx, k.memory, text, password)
		clear(password)
	}
	switch {
	case err == nil:
		return ready, true
	case ctx.Err() == nil: // or it may be the end of ctx that failed
		k.results.fail(n, err)
		k.bar.add(1, 1)
	}
	ready.wipe()
	return readyKeystore{}, false
}

// publicKeyOf is what a keystore says whose it is. Nobody has checked that.
func publicKeyOf(text []byte) (bls.PublicKey, bool) {
	var keystore struct {
		PublicKey string `json:"pubkey"`
	}
	if json.Unmarshal(text, &keystore) != nil {
		return bls.PublicKey{}, false
	}
	public, err := bls.ParsePublicKey(keystore.PublicKey)
	return public, err == nil
}

// travelRounds is enough of PBKDF2 for a password that nobody can guess.
const travelRounds = 1

// reencrypt makes a keystore of a keystore, for the way to the signer, with a password of its own. The caller clears it.
func reencrypt(ctx context.Context, memory *filesystem.KDFMemory, text, password []byte) (travelling, key []byte, err error) {
	secret, err := filesystem.OpenKeystore(ctx, memory, text, password)
	if err != nil {
		return nil, nil, err
	}
	defer secret.Wipe()
	key = filesystem.NewPassword()
	travelling, err = filesystem.EncryptKeystore(secret, key, travelRounds)
	return travelling, key, err
}
