package stored

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// refresh follows the changes, or loads all keys if they cannot be followed. It is called with work held.
func (s *Source) refresh(ctx context.Context) error {
	s.mu.Lock()
	load, cursor := !s.loaded || s.again, s.cursor
	s.mu.Unlock()
	if load {
		return s.reload(ctx)
	}
	if s.o.RefreshInterval == 0 {
		return nil
	}
	for {
		changed, next, err := s.o.Keys.Changes(ctx, cursor)
		switch {
		case errors.Is(err, store.ErrCursor):
			s.o.Log.Warn("stored keys are all loaded again", zap.Error(err))
			return s.reload(ctx)
		case err != nil:
			return fmt.Errorf("read the changes of stored keys: %w", err)
		}
		if len(changed) > 0 {
			if err := s.take(ctx, changed, zapcore.InfoLevel); err != nil {
				return err
			}
		}
		cursor = next
		s.mu.Lock()
		s.cursor = cursor
		s.mu.Unlock()
		if len(changed) == 0 {
			return s.uncover(ctx)
		}
	}
}

// reload looks at all items. It is called with work held.
func (s *Source) reload(ctx context.Context) error {
	began := time.Now()
	var items []store.Key
	told := map[[48]byte]bool{}
	cursor, err := s.o.Keys.Load(ctx, s.o.Statuses, s.o.Readers, func(item store.Key) error {
		items = append(items, item)
		told[item.PublicKey] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("load stored keys: %w", err)
	}
	s.mu.Lock()
	missing := s.book.missing(told, s.wanted)
	s.mu.Unlock()
	others, err := s.get(ctx, missing)
	if err != nil {
		return fmt.Errorf("load stored keys: %w", err)
	}
	if err := s.take(ctx, append(items, others...), zapcore.DebugLevel); err != nil {
		return err
	}
	s.mu.Lock()
	s.cursor, s.loaded, s.again = cursor, true, false
	unusable := len(s.book.failed)
	s.mu.Unlock()
	if err := s.uncover(ctx); err != nil {
		return err
	}
	s.o.Log.Info("stored keys loaded", zap.Int("keys", s.o.Keystore.Count(keystore.Stored)), zap.Int("unusable", unusable),
		zap.Duration("took", time.Since(began)))
	return nil
}

// uncover takes keys that another source had before and has no more.
func (s *Source) uncover(ctx context.Context) error {
	var free [][48]byte
	s.mu.Lock()
	for public := range maps.Keys(s.book.covered) {
		if _, taken := s.o.Keystore.SourceOf(public); !taken {
			free = append(free, public)
		}
	}
	for _, public := range free {
		delete(s.book.covered, public)
	}
	s.mu.Unlock()
	if len(free) == 0 {
		return nil
	}
	items, err := s.get(ctx, free)
	if err == nil {
		err = s.take(ctx, items, zapcore.InfoLevel)
	}
	if err != nil { // the next refresh tries again
		s.mu.Lock()
		for _, public := range free {
			s.book.covered[public] = true
		}
		s.mu.Unlock()
	}
	return err
}

// get reads items; those that are not stored have version 0.
func (s *Source) get(ctx context.Context, publics [][48]byte) ([]store.Key, error) {
	items := make([]store.Key, len(publics))
	err := each(ctx, len(publics), s.o.Readers, func(i int) (err error) {
		items[i], err = s.stored(ctx, publics[i])
		return err
	})
	return items, err
}

// stored is an item, with version 0 if nothing is stored.
func (s *Source) stored(ctx context.Context, public [48]byte) (store.Key, error) {
	item, err := s.o.Keys.Get(ctx, public)
	if errors.Is(err, store.ErrNotFound) {
		return store.Key{PublicKey: public}, nil
	}
	return item, err
}

// take brings items, of which no two are of one key, into the keystore, all or none: none if the chamber is sealed meanwhile or ctx ends.
// It is called with work held. Level is that of the lines about single keys.
func (s *Source) take(ctx context.Context, items []store.Key, level zapcore.Level) error {
	s.mu.Lock()
	verdicts := s.book.judge(items, s.wanted, s.held)
	loaded := s.loaded
	s.mu.Unlock()
	workers := runtime.GOMAXPROCS(0)
	if loaded { // half of the CPUs are left to those who sign meanwhile
		workers = max(workers/2, 1)
	}
	if err := s.openAll(ctx, verdicts, workers); err != nil {
		return fmt.Errorf("open stored keys: %w", err)
	}
	s.commit(verdicts, level)
	return nil
}

// openAll opens the items that are to be opened. After an error, which is not that of an item, no key is left.
func (s *Source) openAll(ctx context.Context, verdicts []verdict, workers int) error {
	err := each(ctx, len(verdicts), workers, func(i int) error {
		v := &verdicts[i]
		if v.kind != toOpen {
			return nil
		}
		if v.key, v.err = s.openItem(v.item); v.err != nil && s.o.Closed(v.err) {
			return v.err
		}
		return nil
	})
	if err != nil {
		for _, v := range verdicts {
			v.wipe()
		}
	}
	return err
}

// held says whether a key of this source is in use.
func (s *Source) held(public [48]byte) bool {
	_, ok := s.o.Keystore.Held(keystore.Stored, public)
	return ok
}

// each calls f with 0 to n-1, up to so many at once, and returns when all calls have ended. After an error, which it returns, or the end
// of ctx, it begins no more.
func each(ctx context.Context, n, atOnce int, f func(i int) error) error {
	var (
		next  atomic.Int64
		once  sync.Once
		first error
		wg    sync.WaitGroup
	)
	for range min(n, atOnce) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				err := ctx.Err()
				if err == nil {
					err = f(i)
				}
				if err != nil {
					once.Do(func() { first = err })
					next.Store(int64(n))
				}
			}
		})
	}
	wg.Wait()
	return first
}
