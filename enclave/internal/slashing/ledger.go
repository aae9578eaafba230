package slashing

import (
	"context"
	"errors"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// ErrNetwork is returned for a store that holds another network's record.
var ErrNetwork = errors.New("the slashing protection store belongs to another network")

// Record is all that a store holds of one key: its last votes, nil where it has none.
type Record struct {
	Key         bls.PublicKey
	Attestation *Attestation
	Block       *Block
}

// Identity says which store it is.
type Identity struct {
	// ID is made with the store, 32 hexadecimal digits of randomness. A copy of a store has its ID too.
	ID string
	// ValidatorsRoot is the genesis validators root of the network whose votes it holds; Pinned is false until one is pinned.
	ValidatorsRoot eth2.Root
	Pinned         bool
}

// Ledger is a Store as its operator sees it: everything beside signing. Our stores are Ledgers. Errors are those of Store.
type Ledger interface {
	Store

	// Identify returns the store's identity.
	Identify(ctx context.Context) (Identity, error)

	// Pin binds the store to the network with a genesis validators root, for good, unless it is bound already: to another one is
	// an ErrNetwork that names both. Of two callers with different roots one gets that error.
	Pin(ctx context.Context, validatorsRoot eth2.Root) error

	// Merge raises what is on record for each key to Merged of it and the record given, so that nothing is ever lowered. A key
	// must not be there twice. It is done for all keys or for none, unless the store says otherwise of itself; it can always
	// be repeated. Signing goes on meanwhile.
	Merge(ctx context.Context, records []Record) error

	// Each calls f with every record in the order of their keys, and ends with f's first error. Votes recorded meanwhile may
	// or may not be seen.
	Each(ctx context.Context, f func(Record) error) error

	// SetHighWatermark sets the high watermark of each key named, or that of all keys, also of those to come, if keys is nil;
	// NoHighWatermark removes it. No Advance that begins after its return, in whatever process, permits a claim above. It is
	// done for all keys or for none, unless the store says otherwise of itself; it can always be repeated. A key that has nothing
	// but a high watermark has no record.
	SetHighWatermark(ctx context.Context, keys []bls.PublicKey, h HighWatermark) error

	// HighWatermark returns that of all keys. It is cheap, unlike KeyHighWatermarks.
	HighWatermark(ctx context.Context) (HighWatermark, error)

	// KeyHighWatermarks returns those of single keys that have one.
	KeyHighWatermarks(ctx context.Context) (map[bls.PublicKey]HighWatermark, error)
}
