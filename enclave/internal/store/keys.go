package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"time"
)

// Key is one validator key at rest.
type Key struct {
	PublicKey [48]byte
	Version   uint64 // 1 for the first, and one more with each change, also across a deletion
	Status    Status
	Changed   uint64    // number of the change that made it this, set by the store; of two changes of the table the later has the higher one
	Body      []byte    // ciphertext, at most MaxKeyBody bytes; empty in a deleted key
	Created   time.Time // as the writer says, to the millisecond; nothing depends on it
	Updated   time.Time // the same
}

// Status says what a key is for.
type Status int

const (
	// Active keys sign.
	Active Status = iota + 1
	// Inactive keys are kept and do not sign.
	Inactive
	// Deleted is what is left of a key, without its body, so that every replica learns of it and the key's versions go on: a write
	// that was sent before the deletion and arrives after it cannot bring the key back.
	Deleted
)

// String is the status as it is stored and configured.
func (s Status) String() string {
	switch s {
	case Active:
		return "active"
	case Inactive:
		return "inactive"
	case Deleted:
		return "deleted"
	}
	return fmt.Sprintf("status %d", int(s))
}

// ParseStatus reads what String writes.
func ParseStatus(text string) (Status, error) {
	for _, s := range []Status{Active, Inactive, Deleted} {
		if text == s.String() {
			return s, nil
		}
	}
	return 0, fmt.Errorf("%w: status %q, want active, inactive or deleted", ErrInvalid, text)
}

// Cursor is how much of the changes somebody has seen. The zero Cursor has seen none.
type Cursor uint64

// Keys keeps validator keys: up to 100,000. It is safe for concurrent use, also by other processes, whatever their clocks say.
//
// All changes of a store have an order, and every replica can follow it: it takes Load, then Changes from Load's cursor, and from there on.
type Keys interface {
	// Get returns a key as it is after every write that has returned, a deleted one too, or ErrNotFound if there never was one.
	Get(ctx context.Context, public [48]byte) (Key, error)

	// Put writes a key, active or inactive, whose version is one more than the stored one, 1 if none is stored; over a deleted key
	// one more than the deleted one's. It is durable before it returns. If another version is stored it returns ErrConflict, unless
	// what is stored is the same version with the same status and body: a write may be repeated.
	Put(ctx context.Context, key Key) error

	// Delete makes a key of this version a deleted one of the next version, and may be repeated. It
	// returns ErrNotFound for a key that never was, and ErrConflict for another version.
	Delete(ctx context.Context, public [48]byte, version uint64) error

	// Load calls yield with all keys that are active or inactive, as asked, with up to so many readers at once, and returns the cursor
	// from which Changes tells everything that Load has not. Yield is called from one goroutine, and its error ends Load.
	Load(ctx context.Context, statuses []Status, readers int, yield func(Key) error) (Cursor, error)

	// Changes returns the keys that changed after a cursor, whatever their status now is, each as it is now or at least as after that
	// change, and the next cursor. Every change that was written before it was called is told, unless so many are left that it
	// returns earlier: the caller asks again at once until it gets none. Some may be told twice. It returns ErrCursor if the cursor
	// is too old, or not of this store.
	Changes(ctx context.Context, after Cursor) ([]Key, Cursor, error)

	// Check returns nil if the store answers, and else why not.
	Check(ctx context.Context) error

	// Close releases the store. No call may be under way, or come later.
	Close() error
}

// Check returns an ErrInvalid for a key that Put does not take. It names the key and the limit.
func (k Key) Check() error {
	switch {
	case k.Status != Active && k.Status != Inactive:
		return fmt.Errorf("%w: key %s: %v, want active or inactive", ErrInvalid, Short(k.PublicKey), k.Status)
	case len(k.Body) > MaxKeyBody:
		return fmt.Errorf("%w: key %s has %d bytes, the limit is %d", ErrInvalid, Short(k.PublicKey), len(k.Body), MaxKeyBody)
	}
	if err := checkVersion(k.Version); err != nil {
		return fmt.Errorf("key %s: %w", Short(k.PublicKey), err)
	}
	return nil
}

// Follow says what a write of a key comes to over what is stored, whose version is 0 if nothing is: done if it is stored already, an
// ErrConflict if it must not be written, and neither if it is to be written.
func (k Key) Follow(stored Key) (done bool, err error) {
	switch {
	case k.Version == stored.Version && k.Status == stored.Status && bytes.Equal(k.Body, stored.Body):
		return true, nil
	case k.Version != stored.Version+1:
		return false, fmt.Errorf("%w: key %s has version %d, version %d does not follow it",
			ErrConflict, Short(k.PublicKey), stored.Version, k.Version)
	}
	return false, nil
}

// Tombstone is what Delete of a version has to write over what is stored, whose version is 0 if nothing is. It is written as Follow says.
func (k Key) Tombstone(version uint64, now time.Time) (Key, error) {
	switch {
	case k.Version == 0:
		return Key{}, fmt.Errorf("%w: key %s", ErrNotFound, Short(k.PublicKey))
	case k.Status == Deleted && k.Version == version+1: // deleted already
	case k.Status == Deleted || k.Version != version:
		return Key{}, fmt.Errorf("%w: key %s is %v and has version %d, not %d", ErrConflict, Short(k.PublicKey), k.Status, k.Version, version)
	}
	return Key{PublicKey: k.PublicKey, Version: version + 1, Status: Deleted, Created: k.Created, Updated: now}, nil
}

// CheckStatuses returns an ErrInvalid for statuses that Load does not know.
func CheckStatuses(statuses []Status) error {
	for _, s := range statuses {
		if s != Active && s != Inactive {
			return fmt.Errorf("%w: %v keys cannot be loaded, want active or inactive", ErrInvalid, s)
		}
	}
	return nil
}

// Short names a key in messages.
func Short(public [48]byte) string { return "0x" + hex.EncodeToString(public[:4]) }
