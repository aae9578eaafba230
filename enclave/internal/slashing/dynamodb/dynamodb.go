// Package dynamodb keeps the last votes in an Amazon DynamoDB table, for any number of signers.
package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// ErrTable is the cause of every refusal of a table that is missing, of another form, would lose votes, or is another one than before.
var ErrTable = errors.New("refused table")

// DefaultConcurrency is how many requests are under way at once if Options do not say.
const DefaultConcurrency = dynamoclient.DefaultConcurrency

// Options say which table is opened, and how. A request gets a quarter of the time that its context leaves, or half a second if that is
// more and no more than half, and never more than the Timeout: one whose answer does not come is sent again.
type Options = dynamoclient.Options

// Store is a table of last votes: an item per validator key, and one more that says which store it is. The table is trusted: whoever
// can write to it, or put an older copy in its place, can make signers vote twice.
type Store struct {
	client *dynamoclient.Table
	table  string                                 // its name
	id     string                                 // the store's identity as it was at Open
	seen   atomic.Pointer[slashing.HighWatermark] // that of all keys as it was read last

	mu     sync.Mutex // held while closed is read and calls is added to, so that Close misses no call
	closed bool
	calls  sync.WaitGroup
}

// Open checks the table, and marks one that is empty as a store. Errors name the table, never credentials.
func Open(ctx context.Context, o Options) (*Store, error) {
	s, err := newStore(o)
	if err == nil {
		err = s.introduce(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("slashing table %s: %w", o.Table, err), s.Close())
	}
	return s, nil
}

// newStore makes a store that has not yet asked its table anything.
func newStore(o Options) (*Store, error) {
	client, err := dynamoclient.New(o)
	if err != nil {
		return nil, err
	}
	s := &Store{client: client, table: o.Table}
	none := slashing.NoHighWatermark()
	s.seen.Store(&none)
	return s, nil
}

// introduce learns whose table it is, and that it can be used.
func (s *Store) introduce(ctx context.Context) error {
	table, err := s.describe(ctx)
	if err != nil {
		return err
	}
	if err := checkTable(table, s.table); err != nil {
		return err
	}
	if err := s.identify(ctx); err != nil {
		return err
	}
	return s.checkRights(ctx)
}

// Check implements slashing.Store. It asks whether the table is still the same store and takes updates, and changes nothing.
func (s *Store) Check(ctx context.Context) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, err = s.meta(ctx); err != nil {
		return err
	}
	return s.checkRights(ctx)
}

// Close implements slashing.Store.
func (s *Store) Close() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.calls.Wait()
	s.client.Close()
	return nil
}

// enter begins a call that Close waits for, until leave. Without an error nothing was sent, and nothing will be.
func (s *Store) enter(ctx context.Context) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, fmt.Errorf("%w: the store is closed", slashing.ErrUnavailable)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %w", slashing.ErrUnavailable, ctx.Err())
	}
	s.calls.Add(1)
	return s.calls.Done, nil
}
