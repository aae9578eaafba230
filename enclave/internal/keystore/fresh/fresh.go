// Package fresh stores new validator keys before anybody hears of them.
package fresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/deposit"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// Maker makes keys and stores them. It is safe for concurrent use.
type Maker struct {
	generator *keygen.Generator
	source    *stored.Source
}

// New makes a maker, whose keys are stored in source.
func New(generator *keygen.Generator, source *stored.Source) *Maker { return &Maker{generator, source} }

var errStored = errors.New("the key was stored before, which no new key can have been")

// Generate makes a mnemonic and count keys of it, and stores them with a status, as canaries if nobody should ever ask for them, and beside each the backup of the mnemonic, if there is
// one, which it returns. may is called with each key before any is stored; with its error, which is returned, none is. tell is called with each
// key, in order, once what became of it is durable: with its deposit data if terms are given, or why it is not known to be stored, or has no deposit data. If ctx
// ends before the keys are made there are none; if its deadline is over later, those that are not stored have an error. A caller who is gone
// meanwhile changes nothing.
func (m *Maker) Generate(
	ctx context.Context, count int, status store.Status, canary bool, terms *deposit.Terms, may func(public bls.PublicKey) error,
	tell func(public bls.PublicKey, path string, data *deposit.Data, err error),
) (backup []byte, err error) {
	batch, err := m.generator.Generate(ctx, count)
	if err != nil {
		return nil, err
	}
	defer batch.Wipe()
	keys := make([]stored.Key, count)
	for i, key := range batch.Keys {
		if err := may(key.Secret.PublicKey()); err != nil {
			return nil, err
		}
		keys[i] = stored.Key{Secret: key.Secret, Status: status, Canary: canary, Backup: batch.Backup}
	}
	storing, cancel := withoutCaller(ctx)
	defer cancel()
	for i, r := range m.source.Import(storing, keys) { // from here on keys may be stored, whatever happens
		var data *deposit.Data
		err := r.Err
		if r.Outcome == stored.Duplicate {
			err = errStored
		}
		if err == nil && terms != nil {
			signed, fault := terms.Sign(batch.Keys[i].Secret)
			if data = &signed; fault != nil {
				data, err = nil, fmt.Errorf("it is stored, and its deposit data could not be made: %w", fault)
			}
		}
		tell(r.PublicKey, batch.Keys[i].Path(), data, err)
	}
	return batch.Backup, nil
}

// withoutCaller keeps the deadline of ctx alone.
func withoutCaller(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Hour)
	}
	return context.WithDeadline(context.WithoutCancel(ctx), deadline)
}
