package keymanager

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/interchange"
)

// records are those of the slashing record that a request is about.
type records map[bls.PublicKey]slashing.Record

// parseHistory reads the EIP-3076 file of a request; no text is no record.
func (a *API) parseHistory(text []byte) (records, error) {
	if len(text) == 0 {
		return nil, nil //nolint:nilnil // no record is one of the answers
	}
	if a.o.Ledger == nil {
		return nil, problem.New(problem.Malformed, "slashing_protection: anti_slashing.backend is noop, which keeps no record; leave the field out to import without one")
	}
	contents, err := admin.Read(bytes.NewReader(text), a.o.Network)
	if err != nil { // also another network's file: here a 403 would speak of the token
		return nil, problem.New(problem.Malformed, "slashing_protection: %v", err)
	}
	all := make(records, len(contents.Records))
	for _, r := range contents.Records {
		if r.Attestation != nil || r.Block != nil {
			all[r.Key] = r
		}
	}
	return all, nil
}

// merge raises what is on record for the keys to what the request brings of them.
func (a *API) merge(ctx context.Context, given records, keys []bls.PublicKey) error {
	var all []slashing.Record
	for _, key := range keys {
		if r, ok := given[key]; ok {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return nil
	}
	if err := a.o.Ledger.Merge(ctx, all); err != nil {
		return problem.Wrap(problem.StoreUnavailable, err, "slashing_protection could not be recorded, and no key was imported; the same can be asked again")
	}
	return nil
}

// errRead ends a reading of the record that has all it wants.
var errRead = errors.New("all keys were read")

// read returns what is on record for the keys now.
func (a *API) read(ctx context.Context, keys map[bls.PublicKey]bool) (records, error) {
	found := records{}
	if a.o.Ledger == nil || len(keys) == 0 {
		return found, nil
	}
	var last bls.PublicKey
	for key := range keys {
		if bytes.Compare(key[:], last[:]) > 0 {
			last = key
		}
	}
	err := a.o.Ledger.Each(ctx, func(r slashing.Record) error { // in the order of the keys
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if keys[r.Key] {
			found[r.Key] = r
		}
		if bytes.Compare(r.Key[:], last[:]) >= 0 {
			return errRead
		}
		return nil
	})
	if err != nil && !errors.Is(err, errRead) {
		return nil, err
	}
	return found, nil
}

// write makes an EIP-3076 file of records, in the order of keys, which has none twice.
func (a *API) write(all records, keys []bls.PublicKey) (string, error) {
	var text strings.Builder
	err := interchange.Write(&text, a.o.Network.ValidatorsRoot, func(f func(slashing.Record) error) error {
		for _, key := range keys {
			if r, ok := all[key]; ok {
				if err := f(r); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return text.String(), err
}
