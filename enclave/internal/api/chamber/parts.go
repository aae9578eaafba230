package chamber

import (
	"context"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/deposit"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// What follows works on validator keys. It may be called by more than one request at once.

// Lister reads stored keys.
type Lister interface {
	// List calls yield with each stored key, active or inactive, in no order and without its body: whether a backup stands beside it, and why it
	// is of no use here, nil if nothing is known. Yield is called from one goroutine, and its error ends List.
	List(ctx context.Context, yield func(item store.Key, backup bool, fault error) error) error
	// Backup returns what was stored beside a key, empty if nothing was. It returns store.ErrNotFound for a key that is not stored.
	Backup(ctx context.Context, public bls.PublicKey) ([]byte, error)
}

// Generator makes keys.
type Generator interface {
	// Generate makes a mnemonic and count keys of it, and stores them with a status, and beside each the backup of the mnemonic, if there is
	// one, which it returns. may is called with each key before any is stored; with its error, which is returned, none is. tell is called with
	// each key, in order, once what became of it is durable: with its deposit data if terms are given, or why it is not known to be stored, or has no deposit
	// data.
	Generate(
		ctx context.Context, count int, status store.Status, canary bool, terms *deposit.Terms, may func(public bls.PublicKey) error,
		tell func(public bls.PublicKey, path string, data *deposit.Data, err error),
	) (backup []byte, err error)
}

// Importer adds the keys of keystores.
type Importer interface {
	// Import opens EIP-2335 keystores until ctx ends, has choose say which of the keys to add, and adds them. There are as many passwords,
	// which are wiped. choose is called once, with a public key for each keystore or why it was not opened, and may choose no key twice; with
	// its error, which is returned, nothing is added. tell is called with each chosen one: whether it was there before, what else is to be
	// said of it, or why it was not added. It is durable when that is told, if it is stored.
	Import(
		ctx context.Context, keystores, passwords [][]byte,
		choose func(publics []bls.PublicKey, faults []error) (chosen []bool, err error),
		tell func(n int, duplicate bool, note string, err error),
	) error
}

// Changer changes keys that are stored. Both calls return store.ErrNotFound for a key that is not stored, and are durable when they return nil;
// this process signs with the key then, or does not, accordingly. If the change is stored, and the process does not sign by it, the error
// says so.
type Changer interface {
	// SetStatus makes a key active or inactive.
	SetStatus(ctx context.Context, public bls.PublicKey, status store.Status) error
	// Delete deletes a key, also one that cannot be opened.
	Delete(ctx context.Context, public bls.PublicKey) error
}
