// Package store says what is asked of the places that keep ciphertext: signer state, and validator keys at rest.
package store

import "errors"

var (
	// ErrNotFound is returned for a name or a public key of which nothing is stored.
	ErrNotFound = errors.New("not in the store")
	// ErrConflict is returned by a write whose version does not follow the stored one. It wrote nothing, and will not.
	ErrConflict = errors.New("another version is stored")
	// ErrOutcomeUnknown is returned by a write that may have been done or not, or may be yet. The caller reads again; the identical
	// write may be sent again.
	ErrOutcomeUnknown = errors.New("outcome of the write unknown")
	// ErrUnavailable is returned by a call that could not be done now. A write that returned it wrote nothing, and will not.
	ErrUnavailable = errors.New("store unavailable")
	// ErrInvalid is returned for what no store takes, whatever it holds: too long, without a name, without a status.
	ErrInvalid = errors.New("not storable")
	// ErrCursor is returned by Changes for a cursor that it cannot go on from. The caller loads all keys again.
	ErrCursor = errors.New("the changes since then are not known any more")
	// ErrShape is the cause of every refusal of a table, database or file that is missing, of another form, or not this store's.
	ErrShape = errors.New("refused as it is")
)

// What a store takes. DynamoDB keeps 400 KiB in an item, names of attributes included; the item that holds the last change of a key
// is read every second by each replica.
const (
	MaxName    = 255       // bytes of an item's name
	MaxItem    = 300 << 10 // bytes of an item's body
	MaxKeyBody = 16 << 10  // bytes of a key's body
)
