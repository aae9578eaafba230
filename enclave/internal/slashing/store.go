package slashing

import (
	"context"
	"errors"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

var (
	// ErrRefused is the cause of every refusal by the rule.
	ErrRefused = errors.New("refused by slashing protection")
	// ErrUnavailable is returned by a Store that recorded nothing, now or later.
	ErrUnavailable = errors.New("slashing protection store unavailable")
	// ErrOutcomeUnknown is returned by a Store that cannot tell whether it recorded a claim.
	ErrOutcomeUnknown = errors.New("outcome of the slashing protection write unknown")
	// ErrUnknownKey is the cause of a refusal of a key that must have a record and has none.
	ErrUnknownKey = errors.New("slashing protection has no record of the key")
)

// Claim asks to put a vote of a key on record.
type Claim struct {
	Key  bls.PublicKey
	Vote Vote
	// KnownOnly has the claim refused if there is no record of the key, of either kind: Standing is nil then.
	KnownOnly bool
}

// Outcome is what became of one claim. The zero Outcome is a refusal.
type Outcome struct {
	// Standing is what is on record for the claim's key and kind once Advance is done, nil if nothing is. The
	// claim is recorded exactly if Standing equals its vote.
	Standing Vote
	// Above is the high watermark that the claim is above, nil if it is above none. The claim must not be signed then, even if it
	// is recorded.
	Above *HighWatermark
	// Err is set if this claim alone failed; Standing then means nothing. It wraps ErrUnavailable or ErrOutcomeUnknown.
	Err error
}

// Permits says whether a vote with this outcome may be signed.
func (o Outcome) Permits(v Vote) bool {
	return o.Err == nil && o.Above == nil && v != nil && o.Standing == v
}

// Store keeps the last vote of each kind per key. It MUST be safe for concurrent use, also by other processes
// unless it refuses them.
type Store interface {
	// Advance records each claim that Judge allows after what is on record for its key and kind, and returns one
	// Outcome per claim, in order. Judging and recording are one atomic step per claim: no other claim for that key
	// and kind comes between. What was recorded is durable before Advance returns, and is never lowered. A claim above the
	// lower of the key's high watermark and that of all keys has Above set, and is better not recorded.
	//
	// An error speaks for all claims. If it wraps ErrUnavailable nothing was recorded and nothing will be; any
	// other error means that each claim may have been recorded or not, also after the return. Claims can always be
	// sent again. Advance returns soon after ctx ends.
	//
	// A batch holds at most one claim per key and kind, and may be of any size.
	Advance(ctx context.Context, claims []Claim) ([]Outcome, error)

	// Check returns nil if the store can be written to now, and else why not.
	Check(ctx context.Context) error

	// Close waits for calls under way and releases the store. Calls after it return ErrUnavailable.
	Close() error
}
