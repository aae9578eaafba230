// Package keygen makes new validator keys.
package keygen

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/age"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/mnemonic"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

// MaxCount is the most keys of one Batch.
const MaxCount = 10_000

// Generator makes keys. It is safe for concurrent use.
type Generator struct {
	recipients []age.Recipient
	slots      chan struct{} // one taken for each key under way, of all calls of Generate together
}

// Key is a new validator key.
type Key struct {
	Secret *bls.SecretKey
	Index  uint32 // of the validator in the mnemonic's tree
}

// Path is where the key stands in the mnemonic's tree (EIP-2334).
func (k Key) Path() string { return fmt.Sprintf("m/%d/%d/%d/0/0", purpose, coinType, k.Index) }

// Batch are the keys of one mnemonic, which is not kept. The caller wipes it.
type Batch struct {
	Keys []Key // of the indices from 0 on
	// Backup is the mnemonic, encrypted to the recipients, as the text of an age file of at most MaxBackup bytes. Nil if there are no
	// recipients: then nobody can make the keys again.
	Backup []byte
}

// Wipe overwrites the keys with zeros.
func (b *Batch) Wipe() {
	for _, k := range b.Keys {
		if k.Secret != nil {
			k.Secret.Wipe()
		}
	}
}

// The path of a signing key is m/purpose/coinType/index/0/0 (EIP-2334).
const (
	purpose  = 12381
	coinType = 3600
)

// Generate makes a new mnemonic and count keys of it, 1 to MaxCount. All calls together keep half of the processors busy: the other half
// signs meanwhile. If ctx ends first, there are no keys and the error is its cause.
func (g *Generator) Generate(ctx context.Context, count int) (*Batch, error) {
	if count < 1 || count > MaxCount {
		return nil, fmt.Errorf("count: %d, want 1 to %d", count, MaxCount)
	}
	words := mnemonic.New()
	defer words.Wipe()
	b, err := g.fromMnemonic(ctx, words, count)
	if err != nil {
		return nil, fmt.Errorf("generate %d keys: %w", count, err)
	}
	return b, nil
}

func (g *Generator) fromMnemonic(ctx context.Context, words secret.Bytes, count int) (*Batch, error) {
	root, err := validators(words)
	if err != nil {
		return nil, err
	}
	defer root.Wipe()
	b := &Batch{}
	if b.Keys, err = g.derive(ctx, root, count); err == nil {
		b.Backup, err = g.backup(words, b.Keys)
	}
	if err != nil {
		b.Wipe()
		return nil, err
	}
	return b, nil
}

// validators derives the key m/12381/3600, from which those of all validators descend.
func validators(words secret.Bytes) (root *bls.SecretKey, err error) {
	var seed secret.Bytes
	err = words.Use(func(text []byte) error {
		seed = mnemonic.Seed(text, "")
		return nil
	})
	if err != nil {
		return nil, err
	}
	defer seed.Wipe()
	err = seed.Use(func(b []byte) error {
		master, err := bls.SecretKeyFromSeed(b)
		if err != nil {
			return err
		}
		defer master.Wipe()
		root, err = master.Derive(purpose, coinType)
		return err
	})
	return root, err
}

// derive returns what was made also with an error, for the caller to wipe.
func (g *Generator) derive(ctx context.Context, root *bls.SecretKey, count int) ([]Key, error) {
	keys := make([]Key, count)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(cap(g.slots))
	for i := range keys {
		group.Go(func() (err error) {
			select {
			case g.slots <- struct{}{}:
				defer func() { <-g.slots }()
			case <-ctx.Done():
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			keys[i].Index = uint32(i)
			keys[i].Secret, err = root.Derive(keys[i].Index, 0, 0)
			return err
		})
	}
	return keys, group.Wait()
}
