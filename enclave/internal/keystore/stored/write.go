package stored

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// Key is a validator key to be stored.
type Key struct {
	Secret *bls.SecretKey // stays the caller's
	Status store.Status   // active or inactive
	Canary bool           // nobody should ever ask for it
	// Backup is kept beside the key, sealed with it, at most MaxBackup bytes: such as the mnemonic that the key came from, encrypted to
	// somebody who is not here. May be empty.
	Backup []byte
}

// Outcome is what became of an imported key.
type Outcome int

const (
	// Imported keys are stored, and loaded if their status is one that is.
	Imported Outcome = iota + 1
	// Duplicate keys were stored already, and are as they were.
	Duplicate
	// Failed keys were not stored, as far as is known, or not so that they can be opened for good; the error says why.
	Failed
)

// Result is what became of an imported key.
type Result struct {
	PublicKey bls.PublicKey
	Outcome   Outcome
	Err       error // of Failed
}

// errStored is a key that is stored already.
var errStored = errors.New("the key is stored already")

// Import stores keys, each for itself, and returns what became of them, in their order. It is durable when it returns; this process has
// loaded the keys then, others follow.
func (s *Source) Import(ctx context.Context, keys []Key) []Result {
	results, items := make([]Result, len(keys)), make([]store.Key, len(keys))
	_ = each(context.WithoutCancel(ctx), len(keys), s.o.Readers, func(i int) error {
		r := Result{PublicKey: keys[i].Secret.PublicKey(), Outcome: Imported}
		item, err := s.importKey(ctx, keys[i])
		switch {
		case errors.Is(err, errStored):
			r.Outcome = Duplicate
		case err != nil:
			r.Outcome, r.Err = Failed, fmt.Errorf("import key %s: %w", r.PublicKey.Short(), err)
		}
		results[i], items[i] = r, item
		return nil
	})
	var written []store.Key
	for i, r := range results {
		if r.Outcome == Imported {
			written = append(written, items[i])
		}
	}
	_ = s.follow(ctx, written) // they are stored: the next refresh has them
	return results
}

func (s *Source) importKey(ctx context.Context, key Key) (store.Key, error) {
	return s.change(ctx, key.Secret.PublicKey(), func(before store.Key) (store.Key, error) {
		if before.Version > 0 && before.Status != store.Deleted {
			if err := s.opens(before); err != nil {
				return store.Key{}, fmt.Errorf("an item is stored that is of no use; delete it first: %w", err)
			}
			return store.Key{}, errStored
		}
		now := time.Now()
		next := store.Key{PublicKey: before.PublicKey, Version: before.Version + 1, Status: key.Status, Created: now, Updated: now}
		if err := next.Check(); err != nil {
			return store.Key{}, err
		}
		err := withPayload(key, func(payload []byte) (err error) {
			next.Body, err = s.o.Sealer.Seal(role, nameOf(next), next.Version, payload)
			return err
		})
		return next, err
	})
}

// SetStatus makes a stored key active or inactive. It returns store.ErrNotFound for one that is not stored. When it returns nil, this
// process signs with the key, or does not, accordingly, as soon as the source is loaded; others follow. A SignsError is that of a key that is
// stored as inactive; other errors of changes that are stored say so too.
func (s *Source) SetStatus(ctx context.Context, public bls.PublicKey, status store.Status) error {
	errSame := errors.New("it is so already")
	item, err := s.change(ctx, public, func(before store.Key) (store.Key, error) {
		if err := exists(before); err != nil {
			return store.Key{}, err
		}
		if before.Status == status {
			return before, errSame
		}
		return s.reseal(before, status)
	})
	if err == nil || errors.Is(err, errSame) {
		err = s.settle(ctx, item)
	}
	if err != nil {
		return fmt.Errorf("make key %s %v: %w", public.Short(), status, err)
	}
	return nil
}

// Delete deletes a stored key, also one that cannot be opened. It returns store.ErrNotFound for one that is not stored. When it returns
// nil, this process does not sign with it any more; others follow. A SignsError is that of a key that is deleted, and that this process
// signs with nevertheless.
func (s *Source) Delete(ctx context.Context, public bls.PublicKey) error {
	item, err := s.deleteKey(ctx, public)
	if err == nil || errors.Is(err, store.ErrNotFound) && item.Version > 0 { // deleted before, which this process may not have heard
		err = cmp.Or(s.settle(ctx, item), err)
	}
	if err != nil {
		return fmt.Errorf("delete key %s: %w", public.Short(), err)
	}
	return nil
}

func (s *Source) deleteKey(ctx context.Context, public [48]byte) (store.Key, error) {
	return s.attempt(ctx, public, func(before store.Key) (store.Key, error) {
		if err := exists(before); err != nil {
			return before, err
		}
		err := s.certain(func() error { return s.o.Keys.Delete(ctx, public, before.Version) })
		return store.Key{PublicKey: public, Version: before.Version + 1, Status: store.Deleted}, err
	})
}

// Backup returns what was stored beside a key, empty if nothing was.
func (s *Source) Backup(ctx context.Context, public bls.PublicKey) (backup []byte, err error) {
	item, err := s.stored(ctx, public)
	if err == nil {
		err = exists(item)
	}
	if err == nil {
		err = s.withItem(item, func(payload []byte, _ *bls.SecretKey) (keep bool, err error) {
			_, b, err := parsePayload(payload)
			backup = bytes.Clone(b)
			return false, err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("backup of key %s: %w", public.Short(), err)
	}
	return backup, nil
}

func exists(item store.Key) error {
	if item.Version == 0 || item.Status == store.Deleted {
		return store.ErrNotFound
	}
	return nil
}

// reseal makes the next version of an authentic item, with the same content and the master key of now.
func (s *Source) reseal(before store.Key, status store.Status) (store.Key, error) {
	next := before
	next.Version, next.Status, next.Updated = before.Version+1, status, time.Now()
	if err := next.Check(); err != nil {
		return store.Key{}, err
	}
	err := s.withItem(before, func(payload []byte, _ *bls.SecretKey) (keep bool, err error) {
		next.Body, err = s.o.Sealer.Seal(role, nameOf(next), next.Version, payload)
		return false, err
	})
	return next, err
}

// change writes what next makes of the stored item, whose version is 0 if nothing is stored, and returns it. Next's item is returned also
// with its error, which is the end.
func (s *Source) change(ctx context.Context, public [48]byte, next func(before store.Key) (store.Key, error)) (store.Key, error) {
	return s.attempt(ctx, public, func(before store.Key) (store.Key, error) {
		to, err := next(before)
		if err != nil {
			return to, err
		}
		if err := s.certain(func() error { return s.o.Keys.Put(ctx, to) }); err != nil {
			return to, err
		}
		return s.keepCurrent(ctx, to)
	})
}

// keepCurrent seals what was written anew if the master key was replaced meanwhile: the rotation may have looked at all items before this one
// was there, and drops the key. An ErrConflict means that somebody else has written the item since.
func (s *Source) keepCurrent(ctx context.Context, written store.Key) (store.Key, error) {
	for range attempts {
		if s.o.Sealer.Current(written.Body) {
			return written, nil
		}
		next, err := s.reseal(written, written.Status)
		if err == nil {
			err = s.certain(func() error { return s.o.Keys.Put(ctx, next) })
		}
		if err != nil {
			return written, fmt.Errorf("it is stored, but sealed with a master key that is not the one of now, and could not be sealed anew: %w", err)
		}
		written = next
	}
	return written, errors.New("it is stored, but the master key is replaced again and again")
}

// attempts are made while other writers are first.
const attempts = 16

// attempt calls do with the stored item, and again as long as it returns an ErrConflict. What this process has seen is not written over
// with something that follows from an older item; one that grew old while it was read is read again.
func (s *Source) attempt(ctx context.Context, public [48]byte, do func(before store.Key) (store.Key, error)) (item store.Key, err error) {
	for range attempts {
		seen := s.sightOf(public)
		before, err := s.stored(ctx, public)
		if err != nil {
			return store.Key{}, err
		}
		s.mu.Lock()
		err = s.book.admits(before)
		later := s.book.seen[public] != seen
		s.mu.Unlock()
		if err != nil && later {
			continue
		}
		if err != nil {
			return store.Key{}, err
		}
		if item, err = do(before); !errors.Is(err, store.ErrConflict) {
			return item, err
		}
	}
	return store.Key{}, fmt.Errorf("%w: other writers were first, %d times", store.ErrConflict, attempts)
}

// certain sends a write, and the same again as long as nobody knows what became of it: a table that does not answer the second time may have
// done it the first time.
func (*Source) certain(write func() error) error {
	var doubt error
	for range 3 {
		switch err := write(); {
		case errors.Is(err, store.ErrOutcomeUnknown):
			doubt = err
		case doubt == nil || !errors.Is(err, store.ErrUnavailable):
			return err
		}
	}
	return doubt
}
