package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// keysRights are what a signer's role needs.
const keysRights = "dynamodb:DescribeTable, GetItem and PutItem on the table, and Query on its index"

// Keys keeps validator keys in a table: one item per key, some more for the log of changes (see head), and an index by which all of a
// status are read in parallel.
type Keys struct {
	*table
	writing chan struct{} // holds a value while this process makes a change: it would only get in its own way
	settled head          // its change was put in place here, the last of all; used by whoever is writing

	logSize, pageSize uint64 // the constants; tests make them smaller
}

var _ store.Keys = (*Keys)(nil)

// OpenKeys checks the table and its index. Errors name it, never credentials.
func OpenKeys(ctx context.Context, o Options) (*Keys, error) {
	t, err := newTable(o, keysRights)
	if err != nil {
		return nil, fmt.Errorf("keys table %s: %w", o.Table, err)
	}
	k := &Keys{table: t, writing: make(chan struct{}, 1), logSize: logSize, pageSize: pageSize}
	err = t.checkShape(ctx, keysShape())
	if err == nil {
		_, err = k.head(ctx)
	}
	if err != nil {
		return nil, errors.Join(t.named("keys", err), t.Close())
	}
	return k, nil
}

// Check implements store.Keys.
func (k *Keys) Check(ctx context.Context) error {
	_, err := k.head(ctx)
	return k.named("keys", err)
}

// Get implements store.Keys. The head is read first: all changes before the last one are then in place.
func (k *Keys) Get(ctx context.Context, public [48]byte) (store.Key, error) {
	h, err := k.head(ctx)
	if err != nil {
		return store.Key{}, k.named("keys", err)
	}
	got, err := k.after(ctx, h, public)
	if err == nil && got.Version == 0 {
		err = fmt.Errorf("%w: key %s", store.ErrNotFound, store.Short(public))
	}
	return got, k.named("keys", err)
}

// after is a key as it is after the head's change or a later one, with version 0 if there is none.
func (k *Keys) after(ctx context.Context, h head, public [48]byte) (store.Key, error) {
	if h.n > 0 && h.last.PublicKey == public {
		return h.last, nil
	}
	found, err := k.get(ctx, item{attrPublicKey: bin(public[:])})
	if err != nil {
		return store.Key{}, err
	}
	stored, err := parseKey(found)
	stored.PublicKey = public
	return stored, err
}

// Put implements store.Keys.
func (k *Keys) Put(ctx context.Context, key store.Key) error {
	if err := key.Check(); err != nil {
		return err
	}
	return k.change(ctx, key.PublicKey, key.Version, func(store.Key) (store.Key, error) { return key, nil })
}

// Delete implements store.Keys.
func (k *Keys) Delete(ctx context.Context, public [48]byte, version uint64) error {
	now := time.Now()
	return k.change(ctx, public, version+1, func(stored store.Key) (store.Key, error) { return stored.Tombstone(version, now) })
}

// change makes one change of a key to a version: what next makes of the stored one, unless that is done already.
func (k *Keys) change(ctx context.Context, public [48]byte, version uint64, next func(stored store.Key) (store.Key, error)) error {
	select {
	case k.writing <- struct{}{}:
		defer func() { <-k.writing }()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
	var doubt error // a try that may have been applied
	for tries := 1; ; tries++ {
		h, stored, err := k.ready(ctx, public)
		if err != nil {
			return k.named("keys", doubtful(doubt, err))
		}
		to, err := next(stored)
		done := false
		if err == nil {
			done, err = to.Follow(stored)
		}
		switch {
		case done:
			return nil
		case err != nil && doubt != nil && stored.Version > version: // another may have followed ours
			return k.named("keys", doubt)
		case err != nil:
			return err
		}
		after := h.follow(stored, to)
		k.settled = head{} // a table that is made anew meanwhile may come to the same head
		err = k.commit(ctx, h.n, after)
		if err == nil { // from here the change is made, whoever puts it in place
			_ = k.settle(ctx, after)
			return nil
		}
		if errors.Is(err, store.ErrOutcomeUnknown) {
			doubt = err
		}
		if _, moved := dynamoclient.Standing(err); !moved {
			return k.named("keys", doubtful(doubt, err))
		}
		if !dynamoclient.Pause(ctx, min(tries, 2)) {
			return k.named("keys", doubtful(doubt, fmt.Errorf("%w: other writers were first: %w", store.ErrUnavailable, ctx.Err())))
		}
	}
}

// ready returns the head, whose change it puts in place, and a key as it is after it as long as the head stays the same.
func (k *Keys) ready(ctx context.Context, public [48]byte) (head, store.Key, error) {
	h, err := k.head(ctx)
	if err != nil {
		return h, store.Key{}, err
	}
	if err := k.settle(ctx, h); err != nil {
		return h, store.Key{}, err
	}
	stored, err := k.after(ctx, h, public)
	return h, stored, err
}

// doubtful is an error after a try of which nobody knows what became of it.
func doubtful(doubt, err error) error {
	if doubt == nil || errors.Is(err, store.ErrOutcomeUnknown) {
		return err
	}
	return fmt.Errorf("%w: %v", store.ErrOutcomeUnknown, err) //nolint:errorlint // it must not be an ErrUnavailable
}

// each calls f with 0 to n-1, some at once, and returns the first error, after which it calls no more.
func each(n, atOnce int, f func(i int) error) error {
	var (
		next  atomic.Int64
		once  sync.Once
		first error
		wg    sync.WaitGroup
	)
	for range min(n, max(1, atOnce)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					once.Do(func() { first = err })
					next.Store(int64(n))
					return
				}
			}
		})
	}
	wg.Wait()
	return first
}
