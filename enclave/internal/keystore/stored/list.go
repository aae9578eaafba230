package stored

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// List calls yield with each stored key, active or inactive, in no order and without its body: whether a backup stands beside it, and why it
// is of no use here, nil if nothing is known. It opens none: of keys that are not loaded, such as inactive ones, nobody knows whether they open.
// Yield is called from one goroutine, and its error ends List.
func (s *Source) List(ctx context.Context, yield func(item store.Key, backup bool, fault error) error) error {
	_, err := s.o.Keys.Load(ctx, []store.Status{store.Active, store.Inactive}, s.o.Readers, func(item store.Key) error {
		backup := len(item.Body) > s.o.Overhead+payloadHeader
		item.Body = nil
		return yield(item, backup, s.faultOf(item))
	})
	if err != nil {
		return fmt.Errorf("list stored keys: %w", err)
	}
	return nil
}

// faultOf is why a stored item is of no use here, as far as it is known.
func (s *Source) faultOf(item store.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.book.failed[item.PublicKey]; ok && f.version == item.Version && f.changed == item.Changed {
		return errors.New(f.reason)
	}
	if err := s.book.admits(item); err != nil {
		return err
	}
	_, signs := s.o.Keystore.SourceOf(item.PublicKey)
	switch {
	case item.Status != store.Active || signs:
		return nil
	case !slices.Contains(s.o.Statuses, store.Active):
		return errors.New("it does not sign here: status_filter does not have active")
	}
	return errors.New("it does not sign here yet: it is loaded with the next refresh")
}
