package stored

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// both are the statuses of items that have a body.
func both() []store.Status { return []store.Status{store.Active, store.Inactive} }

// maxNamed is how many keys an error or a line of the log names.
const maxNamed = 10

// Reencrypt seals all items of another master key with the one of now, and returns how many are left, as far as is known. It may be called
// again, and by more than one process, and keys may be changed meanwhile. With 0 and no error, a list of all items that was made after the
// last write had no other. Items that cannot be opened are left as they are: the error names some.
func (s *Source) Reencrypt(ctx context.Context) (left int, err error) {
	for written := 0; ; {
		old, err := s.outdated(ctx)
		if err != nil {
			return left, fmt.Errorf("re-encrypt stored keys: %w", err)
		}
		if len(old) == 0 {
			s.o.Log.Info("stored keys are sealed with the master key of now", zap.Int("written", written))
			return 0, nil
		}
		done, err := s.reencrypt(ctx, old)
		written += done
		if left = len(old) - done; err != nil {
			s.o.Log.Error("stored keys are left that are sealed with another master key", zap.Int("written", written), zap.Int("left", left), zap.Error(err))
			return left, fmt.Errorf("re-encrypt stored keys: %w", err)
		}
	}
}

// outdated lists the items that are not sealed with the master key of now.
func (s *Source) outdated(ctx context.Context) (old []store.Key, err error) {
	_, err = s.o.Keys.Load(ctx, both(), s.o.Readers, func(item store.Key) error {
		if !s.o.Sealer.Current(item.Body) {
			old = append(old, item)
		}
		return nil
	})
	return old, err
}

// reencrypt returns how many items are done. The error is that of single items, or the one that ended it.
func (s *Source) reencrypt(ctx context.Context, old []store.Key) (done int, err error) {
	var mu sync.Mutex // held while done and failed are used
	var failed []error
	err = each(ctx, len(old), s.o.Readers, func(i int) error {
		err := s.reencryptItem(ctx, old[i])
		if err != nil && (s.o.Closed(err) || errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil) {
			return err // the others would fail too
		}
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			done++
			return nil
		}
		if len(failed) < maxNamed {
			failed = append(failed, fmt.Errorf("key %s: %w", store.Short(old[i].PublicKey), err))
		}
		return nil
	})
	return done, errors.Join(append(failed, err)...)
}

// reencryptItem starts with the item as it was listed, and reads it again only if it has changed since.
func (s *Source) reencryptItem(ctx context.Context, listed store.Key) error {
	errDone := errors.New("nothing is left to do")
	_, err := s.change(ctx, listed.PublicKey, func(before store.Key) (store.Key, error) {
		if exists(before) != nil || s.o.Sealer.Current(before.Body) {
			return store.Key{}, errDone
		}
		return s.reseal(before, before.Status)
	})
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}
