package stored

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// SignsError is returned for a key that is stored as it was asked, inactive or deleted, and that this process signs with nevertheless: nobody
// else may sign with it yet.
type SignsError struct {
	Status store.Status    // as the key is stored
	Source keystore.Source // that this process has the key from
	Err    error           // why it is still loaded from what is stored; nil of another source
}

// Error says what is stored, and why the key signs.
func (e *SignsError) Error() string {
	why := "from " + e.Source.String()
	if e.Err != nil {
		why = e.Err.Error()
	}
	return fmt.Sprintf("stored as %v, and still signs here: %s", e.Status, why)
}

// Unwrap returns Err.
func (e *SignsError) Unwrap() error { return e.Err }

// settle takes a changed item that is stored, and returns an error unless this process signs with the key as its status says. A key that
// another source has signs.
func (s *Source) settle(ctx context.Context, item store.Key) error {
	err := s.follow(ctx, []store.Key{item})
	source, signs := s.o.Keystore.SourceOf(item.PublicKey)
	switch {
	case signs && item.Status != store.Active:
		return s.stillSigns(item, source, err)
	case err != nil:
		return fmt.Errorf("stored as %v, and not taken over here: %w", item.Status, err)
	case !signs && item.Status == store.Active:
		return s.doesNotSign(item)
	}
	return nil
}

// stillSigns is the error of a key that this process has from a source although it is not to sign. Err is that of following the change.
func (s *Source) stillSigns(item store.Key, source keystore.Source, err error) error {
	switch {
	case source != keystore.Stored:
		err = nil
	case s.wanted(item.Status):
		err = fmt.Errorf("status_filter has %v", item.Status)
	case s.sightOf(item.PublicKey).version > item.Version:
		return s.changedSince(item)
	}
	return &SignsError{Status: item.Status, Source: source, Err: err}
}

// doesNotSign is the error of an activated key that no source has. It is nil if the key can be loaded: then it is when the source is.
func (s *Source) doesNotSign(item store.Key) error {
	if !s.wanted(item.Status) {
		return fmt.Errorf("stored as %v, and does not sign here: status_filter does not have it", item.Status)
	}
	if s.sightOf(item.PublicKey).version > item.Version {
		return s.changedSince(item)
	}
	if err := s.opens(item); err != nil {
		return fmt.Errorf("stored as %v, and does not sign here: %w", item.Status, err)
	}
	return nil
}

// changedSince is the error of a change that another one came after.
func (s *Source) changedSince(item store.Key) error {
	now := s.sightOf(item.PublicKey)
	return fmt.Errorf("%w: it was stored as %v, and changed since: version %d, %v", store.ErrConflict, item.Status, now.version, now.status)
}

func (s *Source) sightOf(public [48]byte) sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.seen[public]
}

// follow takes items that were written or read without work held, also if the caller goes away, unless the source is dropped. Of a key of
// which a later item was seen meanwhile that one stands: this one is no table that went back.
func (s *Source) follow(ctx context.Context, items []store.Key) error {
	if len(items) == 0 {
		return nil
	}
	err := s.during(context.WithoutCancel(ctx), func(ctx context.Context) error {
		s.mu.Lock()
		latest := slices.DeleteFunc(slices.Clone(items), func(item store.Key) bool { return item.Version < s.book.seen[item.PublicKey].version })
		s.mu.Unlock()
		return s.take(ctx, latest, zapcore.InfoLevel)
	})
	if errors.Is(err, ErrSealed) {
		s.dropping.Lock()   // a Drop under way has ended then, and no key of the source signs
		s.dropping.Unlock() //nolint:staticcheck // SA2001: it is waited for, and nothing is guarded
		return nil
	}
	return err
}
