// Package slashing permits a signature once it is on record that it cannot get its validator slashed.
package slashing

import (
	"fmt"
	"math"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// MaxHeight is the highest epoch and slot that can be recorded: the highest that databases count to. The chain
// is 10^18 years away from it.
const MaxHeight = math.MaxInt64

// Vote is what can be slashed: an Attestation or a Block. Votes can be compared with ==.
type Vote interface {
	// after is the rule for this vote when last is on record for the same key and kind; last is nil if nothing is.
	after(last Vote) Verdict
}

// Attestation is the last vote of a key, or the next one.
type Attestation struct {
	Source, Target uint64 // epochs
	Root           eth2.Root
	// RootUnknown says that a record does not know the root of what was signed last, so that it equals no vote. No vote to be
	// signed has it; Root is zero then.
	RootUnknown bool
}

// Block is the last proposal of a key, or the next one.
type Block struct {
	Slot        uint64
	Root        eth2.Root
	RootUnknown bool // as Attestation's
}

// Verdict is what the rule says. The zero Verdict refuses.
type Verdict struct {
	allowed bool
	reason  string
}

// Allowed says whether the vote may be signed.
func (v Verdict) Allowed() bool { return v.allowed }

// Reason says why it may not, with numbers; "" if it may.
func (v Verdict) Reason() string { return v.reason }

func refused(format string, args ...any) Verdict {
	return Verdict{reason: fmt.Sprintf(format, args...)}
}

// Judge is the whole rule: whether next may be signed by a key whose last vote of that kind is last, nil if there
// is none. An attestation must have source <= target, source >= the last source and target > the last target; a
// block must have slot > the last slot. Exactly what was signed last may be signed again.
//
// Because only the last vote is kept, this refuses some votes that EIP-3076 allows with the whole history, and
// allows none that it forbids.
func Judge(last, next Vote) Verdict {
	if next == nil {
		return refused("no vote")
	}
	return next.after(last)
}

func (a Attestation) after(last Vote) Verdict {
	switch {
	case a.RootUnknown:
		return refused("a vote without a root")
	case a.Source > a.Target:
		return refused("source %d is above target %d", a.Source, a.Target)
	case a.Target > MaxHeight:
		return refused("target %d is out of range", a.Target)
	case last == nil || last == a:
		return Verdict{allowed: true}
	}
	l, ok := last.(Attestation)
	if !ok {
		return refused("the record of another kind was compared")
	}
	switch {
	case a.Target == l.Target:
		return refused("double vote: target %d is not above the last signed target %d", a.Target, l.Target)
	case a.Source < l.Source && a.Target > l.Target:
		return refused("surrounds the vote source %d target %d on record", l.Source, l.Target)
	case a.Source > l.Source && a.Target < l.Target:
		return refused("is surrounded by the vote source %d target %d on record", l.Source, l.Target)
	case a.Target < l.Target:
		return refused("target %d is below the last signed target %d", a.Target, l.Target)
	case a.Source < l.Source:
		return refused("source %d is below the last signed source %d", a.Source, l.Source)
	}
	return Verdict{allowed: true}
}

func (b Block) after(last Vote) Verdict {
	switch {
	case b.RootUnknown:
		return refused("a proposal without a root")
	case b.Slot > MaxHeight:
		return refused("slot %d is out of range", b.Slot)
	case last == nil || last == b:
		return Verdict{allowed: true}
	}
	l, ok := last.(Block)
	switch {
	case !ok:
		return refused("the record of another kind was compared")
	case b.Slot == l.Slot:
		return refused("double proposal: slot %d was signed with another root", b.Slot)
	case b.Slot < l.Slot:
		return refused("slot %d is below the last signed slot %d", b.Slot, l.Slot)
	}
	return Verdict{allowed: true}
}
