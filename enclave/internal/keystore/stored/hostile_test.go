package stored_test

import (
	"context"
	"sync"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// hostile is a store that tells something else than it holds, or fails.
type hostile struct {
	store.Keys
	mu     sync.Mutex // held while the fields below are used
	forged map[[48]byte]store.Key
	gone   map[[48]byte]bool
	fault  error // of all calls
	lost   bool  // cursors are
	after  error // of the next write, which is done
	full   error // of writes, once so many more were done
	writes int
	tried  int // writes
}

func (h *hostile) set(f func(h *hostile)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
}

// forge has the store tell an item in the place of that of its key.
func (h *hostile) forge(items ...store.Key) {
	h.set(func(h *hostile) {
		h.forged = map[[48]byte]store.Key{}
		for _, item := range items {
			h.forged[item.PublicKey] = item
		}
	})
}

// tell is what is told of an item, if anything.
func (h *hostile) tell(item store.Key) (store.Key, bool) {
	if h.gone[item.PublicKey] {
		return store.Key{}, false
	}
	if forged, ok := h.forged[item.PublicKey]; ok {
		forged.Changed = item.Changed
		return forged, true
	}
	return item, true
}

func (h *hostile) Get(ctx context.Context, public [48]byte) (store.Key, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fault != nil {
		return store.Key{}, h.fault
	}
	item, err := h.Keys.Get(ctx, public)
	if err != nil {
		return item, err
	}
	told, ok := h.tell(item)
	if !ok {
		return store.Key{}, store.ErrNotFound
	}
	return told, nil
}

func (h *hostile) Load(ctx context.Context, statuses []store.Status, readers int, yield func(store.Key) error) (store.Cursor, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fault != nil {
		return 0, h.fault
	}
	return h.Keys.Load(ctx, statuses, readers, func(item store.Key) error {
		if told, ok := h.tell(item); ok {
			return yield(told)
		}
		return nil
	})
}

func (h *hostile) Changes(ctx context.Context, after store.Cursor) ([]store.Key, store.Cursor, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fault != nil {
		return nil, after, h.fault
	}
	if h.lost {
		return nil, after, store.ErrCursor
	}
	changed, next, err := h.Keys.Changes(ctx, after)
	var told []store.Key
	for _, item := range changed {
		if item, ok := h.tell(item); ok {
			told = append(told, item)
		}
	}
	return told, next, err
}

func (h *hostile) Put(ctx context.Context, item store.Key) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tried++
	if h.full != nil {
		if h.writes == 0 {
			return h.full
		}
		h.writes--
	}
	if h.fault != nil {
		return h.fault
	}
	err := h.Keys.Put(ctx, item)
	if err == nil && h.after != nil {
		err, h.after = h.after, nil
	}
	return err
}
