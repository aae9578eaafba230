// Package storetest holds the tests that every store of ciphertext must pass.
package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// State is the model: signer state in memory. Close closes nothing, so that one may be opened many times.
type State struct {
	mu    sync.Mutex // held while items is used
	items map[string]store.Item
}

// Get implements store.State.
func (s *State) Get(_ context.Context, name string) (store.Item, error) {
	if err := store.CheckName(name); err != nil {
		return store.Item{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.items[name]
	if !ok {
		return store.Item{}, fmt.Errorf("%w: item %s", store.ErrNotFound, name)
	}
	return i, nil
}

// Put implements store.State.
func (s *State) Put(_ context.Context, i store.Item) error {
	if err := i.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if done, err := i.Follow(s.items[i.Name]); done || err != nil {
		return err
	}
	if s.items == nil {
		s.items = map[string]store.Item{}
	}
	i.Body = slices.Clone(i.Body)
	s.items[i.Name] = i
	return nil
}

// Delete implements store.State.
func (s *State) Delete(_ context.Context, name string, version uint64) error {
	if err := (store.Item{Name: name, Version: version}).Check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.items[name]; ok && i.Version != version {
		return fmt.Errorf("%w: item %s has version %d, not %d", store.ErrConflict, name, i.Version, version)
	}
	delete(s.items, name)
	return nil
}

// List implements store.State.
func (s *State) List(context.Context) ([]store.Listed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []store.Listed
	for _, name := range slices.Sorted(maps.Keys(s.items)) {
		all = append(all, store.Listed{Name: name, Version: s.items[name].Version})
	}
	return all, nil
}

// Check implements store.State.
func (*State) Check(context.Context) error { return nil }

// Close implements store.State.
func (*State) Close() error { return nil }

// Keys is the model of keys.
type Keys struct {
	mu   sync.Mutex // held while the fields below are used
	keys map[[48]byte]store.Key
	last uint64
}

// Get implements store.Keys.
func (k *Keys) Get(_ context.Context, public [48]byte) (store.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	got, ok := k.keys[public]
	if !ok {
		return store.Key{}, fmt.Errorf("%w: key %s", store.ErrNotFound, store.Short(public))
	}
	return got, nil
}

// Put implements store.Keys.
func (k *Keys) Put(_ context.Context, key store.Key) error {
	if err := key.Check(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.write(key)
}

// write makes a change, while mu is held.
func (k *Keys) write(key store.Key) error {
	if done, err := key.Follow(k.keys[key.PublicKey]); done || err != nil {
		return err
	}
	if k.keys == nil {
		k.keys = map[[48]byte]store.Key{}
	}
	k.last++
	key.Changed, key.Body = k.last, slices.Clone(key.Body)
	key.Created, key.Updated = key.Created.Truncate(time.Millisecond).UTC(), key.Updated.Truncate(time.Millisecond).UTC()
	k.keys[key.PublicKey] = key
	return nil
}

// Delete implements store.Keys.
func (k *Keys) Delete(_ context.Context, public [48]byte, version uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := k.keys[public]
	key.PublicKey = public
	tombstone, err := key.Tombstone(version, time.Now())
	if err != nil {
		return err
	}
	return k.write(tombstone)
}

// Load implements store.Keys.
func (k *Keys) Load(_ context.Context, statuses []store.Status, _ int, yield func(store.Key) error) (store.Cursor, error) {
	if err := store.CheckStatuses(statuses); err != nil {
		return 0, err
	}
	k.mu.Lock()
	keys, last := slices.Collect(maps.Values(k.keys)), k.last
	k.mu.Unlock()
	for _, key := range keys {
		if slices.Contains(statuses, key.Status) {
			if err := yield(key); err != nil {
				return 0, err
			}
		}
	}
	return store.Cursor(last), nil
}

// Changes implements store.Keys.
func (k *Keys) Changes(_ context.Context, after store.Cursor) ([]store.Key, store.Cursor, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if uint64(after) > k.last {
		return nil, after, fmt.Errorf("%w: change %d is not made yet, the last one is %d", store.ErrCursor, after, k.last)
	}
	var changed []store.Key
	for _, key := range k.keys {
		if key.Changed > uint64(after) {
			changed = append(changed, key)
		}
	}
	slices.SortFunc(changed, func(a, b store.Key) int { return cmp.Compare(a.Changed, b.Changed) })
	return changed, store.Cursor(k.last), nil
}

// Check implements store.Keys.
func (*Keys) Check(context.Context) error { return nil }

// Close implements store.Keys.
func (*Keys) Close() error { return nil }
