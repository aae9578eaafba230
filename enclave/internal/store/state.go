package store

import (
	"bytes"
	"context"
	"fmt"
	"math"
)

// Item is one piece of signer state.
type Item struct {
	Name    string // 1 to MaxName visible ASCII characters
	Version uint64 // 1 for the first, and one more with each change
	Body    []byte // ciphertext, at most MaxItem bytes
}

// Listed is an item without its body.
type Listed struct {
	Name    string
	Version uint64
}

// State keeps items, each replaced whole: fewer than 1,000 of them. It is safe for concurrent use, also by other processes. Nothing
// holds two items together; what must change as one stands in one item.
type State interface {
	// Get returns an item as it is after every write that has returned, or ErrNotFound.
	Get(ctx context.Context, name string) (Item, error)

	// Put writes an item whose version is one more than the stored one, 1 if none is stored, and is durable before it returns. If
	// another version is stored it returns ErrConflict, unless what is stored is this very item: a write may be repeated.
	Put(ctx context.Context, item Item) error

	// Delete removes the item if it has this version, and returns ErrConflict if it has another. An item that is not there is as
	// wanted, since a deletion may be repeated. A name that was deleted should not be used again: a Put of version 1 whose outcome
	// was unknown may still arrive.
	Delete(ctx context.Context, name string, version uint64) error

	// List returns all items, sorted by name: those that were there when it was called, and perhaps some that came or went since.
	List(ctx context.Context) ([]Listed, error)

	// Check returns nil if the store answers, and else why not.
	Check(ctx context.Context) error

	// Close releases the store. No call may be under way, or come later.
	Close() error
}

// Check returns an ErrInvalid for an item that no store takes. It names the item and the limit.
func (i Item) Check() error {
	if err := CheckName(i.Name); err != nil {
		return err
	}
	if err := checkVersion(i.Version); err != nil {
		return fmt.Errorf("item %s: %w", i.Name, err)
	}
	if len(i.Body) > MaxItem {
		return fmt.Errorf("%w: item %s has %d bytes, the limit is %d", ErrInvalid, i.Name, len(i.Body), MaxItem)
	}
	return nil
}

// CheckName returns an ErrInvalid for a name that no item can have.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("%w: the name of an item has %d bytes, want 1 to %d", ErrInvalid, len(name), MaxName)
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c > '~' {
			return fmt.Errorf("%w: the name %q of an item has a character that is not visible ASCII", ErrInvalid, name)
		}
	}
	return nil
}

// checkVersion: SQL counts to 2^63-1.
func checkVersion(version uint64) error {
	if version == 0 || version > math.MaxInt64 {
		return fmt.Errorf("%w: version %d, want one from 1 to 2^63-1", ErrInvalid, version)
	}
	return nil
}

// Follow says what a Put of an item comes to over what is stored, whose version is 0 if nothing is: done if it is stored already, an
// ErrConflict if it must not be written, and neither if it is to be written.
func (i Item) Follow(stored Item) (done bool, err error) {
	switch {
	case i.Version == stored.Version && bytes.Equal(i.Body, stored.Body):
		return true, nil
	case i.Version != stored.Version+1:
		return false, fmt.Errorf("%w: item %s has version %d, version %d does not follow it", ErrConflict, i.Name, stored.Version, i.Version)
	}
	return false, nil
}
