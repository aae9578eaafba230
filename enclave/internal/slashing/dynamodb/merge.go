package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Merge implements slashing.Ledger, key by key and many at a time: after an error some keys may be merged and others not, and it is to
// be repeated. An ErrUnavailable says that none is.
func (s *Store) Merge(ctx context.Context, records []slashing.Record) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	seen := make(map[bls.PublicKey]bool, len(records))
	for _, r := range records {
		if seen[r.Key] {
			return fmt.Errorf("%w: key %s is there twice", slashing.ErrUnavailable, r.Key)
		}
		seen[r.Key] = true
	}
	return s.eachOf(ctx, len(records), func(ctx context.Context, i int) error {
		return s.merge(ctx, records[i])
	})
}

// eachOf does f for 0 to n-1, as many at once as requests may be, until one fails. f returns an ErrUnavailable only if it has changed nothing.
func (s *Store) eachOf(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	if _, err := s.meta(ctx); err != nil { // another store than at Open is not touched
		return err
	}
	var changed atomic.Bool
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(s.client.Concurrency())
	for i := range n {
		work.Go(func() error {
			err := f(ctx, i) // also after ctx has ended: only f says that the ith is done
			if !errors.Is(err, slashing.ErrUnavailable) {
				changed.Store(true)
			}
			return err
		})
	}
	err := work.Wait()
	if err != nil && changed.Load() {
		return fmt.Errorf("%w: some of %d keys are written and others not, which is to be repeated: %v", slashing.ErrOutcomeUnknown, n, err) //nolint:errorlint // it must not be an ErrUnavailable
	}
	return err
}

// merge raises one key's record: what was read is replaced if it is still the same, else it is done again.
func (s *Store) merge(ctx context.Context, r slashing.Record) error {
	w := writing{store: s}
	for {
		have, err := s.row(ctx, r.Key)
		if err != nil {
			return w.failed(err)
		}
		merged := slashing.Merged(have.record, r)
		if equal(merged.Attestation, have.record.Attestation) && equal(merged.Block, have.record.Block) {
			return nil
		}
		request := replace(s.table, have.record, merged)
		err = w.send(ctx, func(ctx context.Context) error {
			_, err := s.client.UpdateItem(ctx, request)
			return err
		})
		if _, changed := dynamoclient.Standing(err); !changed {
			return err
		}
	}
}

func equal[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// attributes are those of a record, nil for the ones that its item does not have.
func attributes(r slashing.Record) item {
	all := item{attrSource: nil, attrTarget: nil, attrAttestationRoot: nil, attrSlot: nil, attrBlockRoot: nil}
	if a := r.Attestation; a != nil {
		all[attrSource], all[attrTarget] = number(a.Source), number(a.Target)
		if !a.RootUnknown {
			all[attrAttestationRoot] = binary(a.Root[:])
		}
	}
	if b := r.Block; b != nil {
		all[attrSlot] = number(b.Slot)
		if !b.RootUnknown {
			all[attrBlockRoot] = binary(b.Root[:])
		}
	}
	return all
}

// replace is the request that has an item hold another record, if it still holds the one that was read.
func replace(table string, have, want slashing.Record) *dynamodb.UpdateItemInput {
	e := newExpression()
	for name, value := range attributes(have) {
		e.require(name, value)
	}
	for name, value := range attributes(want) {
		e.put(name, value)
	}
	return e.update(table, want.Key[:])
}
