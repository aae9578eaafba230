package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// closeLimit is how long Close waits for the transaction under way: as long as a write may take at most.
const closeLimit = 10 * time.Second

// stage is how far a transaction is. Whoever moves it on from running decides what becomes of it.
type stage = int32

const (
	running    stage = iota // the zero value
	committing              // by its goroutine: what is recorded is not known until the commit returns
	abandoned               // by its caller: it is rolled back
)

// result is what a transaction came to.
type result[T any] struct {
	value T
	err   error
}

// write does f in one transaction, which holds the write lock, and commits it. f must not touch what its caller may still use.
func write[T any](ctx context.Context, s *Store, f func(context.Context, *sql.Tx) (T, error)) (T, error) {
	return transact(ctx, s, (*sql.Tx).Commit, f)
}

// read is write without the commit.
func read[T any](ctx context.Context, s *Store, f func(context.Context, *sql.Tx) (T, error)) (T, error) {
	return transact(ctx, s, nil, f)
}

// transact returns soon after ctx ends. SQLite waits for its disk whatever the context says, and a disk that has gone may never
// answer: so it is serve that does the transaction, and goes on with it when the caller has left. Later transactions wait for their turn.
func transact[T any](ctx context.Context, s *Store, commit func(*sql.Tx) error, f func(context.Context, *sql.Tx) (T, error)) (T, error) {
	var none T
	var at atomic.Int32
	done := make(chan result[T], 1) // nobody may be there any more
	err := s.submit(ctx, func() {
		value, err := transaction(ctx, s, &at, commit, f)
		done <- result[T]{value, err}
	})
	if err != nil {
		return none, err
	}
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
	}
	if at.CompareAndSwap(running, abandoned) {
		return none, fmt.Errorf("%w: %w", slashing.ErrUnavailable, context.Cause(ctx))
	}
	select { // it may just have ended
	case r := <-done:
		return r.value, r.err
	default:
		return none, fmt.Errorf("%w: the commit has not returned: %w", slashing.ErrOutcomeUnknown, context.Cause(ctx))
	}
}

// submit waits until serve takes the transaction, at most until ctx ends.
func (s *Store) submit(ctx context.Context, transaction func()) error {
	select {
	case <-s.closing: // even if serve would take it
		return errClosed()
	default:
	}
	select {
	case s.transactions <- transaction:
		return nil
	case <-s.closing:
		return errClosed()
	case <-ctx.Done():
		return fmt.Errorf("%w: the transaction before this one has not ended: %w", slashing.ErrUnavailable, context.Cause(ctx))
	}
}

// serve does one transaction after the other until the store is closed, and then gives the file up. It is one goroutine for all of
// them because SQLite wants a deep stack, which each would have to grow.
func (s *Store) serve() {
	for {
		select {
		case transaction := <-s.transactions:
			transaction()
		case <-s.closing:
			s.closed <- s.db.Close()
			return
		}
	}
}

// transaction does f in a transaction that ctx does not end: the driver would interrupt the connection, and the pool then close it
// and give up the file's lock with it. It is rolled back if its caller has abandoned it before the commit.
//
// The file must still be the one that was opened: in one that was removed or replaced meanwhile, which SQLite does not notice, votes
// would be lost with this process, and another process could have the new one.
func transaction[T any](
	ctx context.Context, s *Store, at *atomic.Int32, commit func(*sql.Tx) error, f func(context.Context, *sql.Tx) (T, error),
) (value T, err error) {
	var none T
	if now, err := os.Stat(s.path); err != nil || !os.SameFile(now, s.opened) {
		return none, fmt.Errorf("%w: %s is no longer the file that was opened; stop the signer", slashing.ErrUnavailable, s.path)
	}
	within := context.WithoutCancel(ctx)
	tx, err := s.db.BeginTx(within, nil)
	if err != nil {
		return none, fmt.Errorf("%w: begin: %w", slashing.ErrUnavailable, err)
	}
	defer func() { _ = tx.Rollback() }() // if nothing else has ended it
	switch value, err = f(within, tx); {
	case errors.Is(err, slashing.ErrNetwork):
		return none, err
	case err != nil:
		return none, fmt.Errorf("%w: %w", slashing.ErrUnavailable, err)
	case commit == nil:
		return value, nil
	case !at.CompareAndSwap(running, committing):
		return none, slashing.ErrUnavailable // its caller has gone
	}
	if err := commit(tx); err != nil {
		return none, uncommitted(err)
	}
	return value, nil
}

// Close implements slashing.Store. Calls that wait for their turn are refused. If the disk does not answer the transaction under way,
// Close gives up with an error, and the file stays locked until the transaction has ended: its commit may still reach the disk, and
// no other process may read the file before. That holds beyond the end of this process too, because a lock goes with the last of its threads.
func (s *Store) Close() error { return s.shut() }

func (s *Store) close() error {
	close(s.closing)
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case err := <-s.closed:
		return err
	case <-limit.C:
		return fmt.Errorf("slashing database %s: the disk has not answered a transaction for %v; the file stays locked until it does", s.path, closeLimit)
	}
}

func errClosed() error { return fmt.Errorf("%w: closed", slashing.ErrUnavailable) }
