package stored

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// Export returns all items as they are stored, sealed, in the order of their public keys; deleted ones are left out. What Restore refuses
// is left out too, since one such item would keep the others from being restored: leftOut counts it, the log names some, and what cannot be a
// key is Unusable from then on.
func (s *Source) Export(ctx context.Context) (items []store.Key, leftOut int, err error) {
	var refused []error // the first ones
	var empty []store.Key
	_, err = s.o.Keys.Load(ctx, both(), s.o.Readers, func(item store.Key) error {
		err := restorable(item)
		if err == nil {
			items = append(items, item)
			return nil
		}
		leftOut++
		if len(refused) < maxNamed {
			refused = append(refused, fmt.Errorf("key %s: %w", store.Short(item.PublicKey), err))
		}
		if len(item.Body) == 0 {
			empty = append(empty, item)
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("export stored keys: %w", err)
	}
	if leftOut > 0 {
		s.o.Log.Error("stored keys are left out of a backup, which could not be restored with them", zap.Int("left_out", leftOut), zap.Errors("keys", refused))
	}
	_ = s.follow(ctx, empty) // the next refresh tells why not
	slices.SortFunc(items, func(a, b store.Key) int { return bytes.Compare(a.PublicKey[:], b.PublicKey[:]) })
	return items, leftOut, nil
}

// maxRestored is the highest version that Restore puts back: it takes as many writes.
const maxRestored = 1000

// Restore puts an exported item into a table, with its version, which its ciphertext is bound to. It needs no master key, and may be called
// again for the same item. A table gives versions one by one: those before the item's are written first, without a body, so that a key that
// does not open stands there if Restore does not come to its end. It returns store.ErrConflict if something else is stored, which stays.
func (s *Source) Restore(ctx context.Context, item store.Key) error {
	if err := s.restore(ctx, item); err != nil {
		return fmt.Errorf("restore key %s, version %d: %w", store.Short(item.PublicKey), item.Version, err)
	}
	return nil
}

// restorable returns an ErrInvalid for an item that Restore refuses whatever is stored.
func restorable(item store.Key) error {
	if err := item.Check(); err != nil {
		return err
	}
	if item.Version > maxRestored || len(item.Body) == 0 {
		return fmt.Errorf("%w: version %d of %d bytes, want at least 1 byte, and at most version %d", store.ErrInvalid, item.Version, len(item.Body), maxRestored)
	}
	return nil
}

func (s *Source) restore(ctx context.Context, item store.Key) error {
	if err := restorable(item); err != nil {
		return err
	}
	there, err := s.stored(ctx, item.PublicKey)
	if err != nil {
		return err
	}
	done, follow := item.Follow(there)
	begun := there.Version == 0 || there.Status == store.Inactive && len(there.Body) == 0
	switch {
	case done:
		return nil
	case !begun:
		return fmt.Errorf("%w: version %d, %v", store.ErrConflict, there.Version, there.Status)
	case there.Version >= item.Version:
		return follow
	}
	step := store.Key{PublicKey: item.PublicKey, Status: store.Inactive, Created: item.Created, Updated: item.Updated}
	for step.Version = there.Version + 1; step.Version < item.Version; step.Version++ {
		if err := s.certain(func() error { return s.o.Keys.Put(ctx, step) }); err != nil {
			return err
		}
	}
	return s.certain(func() error { return s.o.Keys.Put(ctx, item) })
}
