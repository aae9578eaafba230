package admin

import (
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Result is what became of a record.
type Result string

// The results.
const (
	ResultNew       Result = "new"       // the key had no record
	ResultRaised    Result = "raised"    // the record refuses more than before
	ResultUnchanged Result = "unchanged" // the record refused all of it already, or was left alone
)

// Change is what became of the record of one key. A dry run tells what would have.
type Change struct {
	Pubkey string `json:"pubkey"` // 0x and 96 lower-case hexadecimal digits
	Result Result `json:"result"`
	Before *Votes `json:"before,omitempty"` // what was on record, if it was raised
	After  Votes  `json:"after"`            // what is on record
}

// Tell is called with one change after the other. Its error ends the telling, not what is told of: that is done.
type Tell func(Change) error

// Votes are the last votes of a key, nil where it has none.
type Votes struct {
	Attestation *Attestation `json:"attestation,omitempty"`
	Block       *Block       `json:"block,omitempty"`
}

// Attestation is the last attestation, named as in EIP-3076.
type Attestation struct {
	SourceEpoch uint64 `json:"source_epoch,string"`
	TargetEpoch uint64 `json:"target_epoch,string"`
	SigningRoot string `json:"signing_root,omitempty"` // "" if it is unknown
}

// Block is the last block.
type Block struct {
	Slot        uint64 `json:"slot,string"`
	SigningRoot string `json:"signing_root,omitempty"` // "" if it is unknown
}

// changeOf tells of a record before and now.
func changeOf(before, now slashing.Record) Change {
	c := Change{Pubkey: now.Key.String(), Result: ResultUnchanged, After: votesOf(now)}
	switch {
	case equal(before.Attestation, now.Attestation) && equal(before.Block, now.Block):
	case before.Attestation == nil && before.Block == nil:
		c.Result = ResultNew
	default:
		was := votesOf(before)
		c.Result, c.Before = ResultRaised, &was
	}
	return c
}

func equal[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func votesOf(r slashing.Record) (v Votes) {
	if a := r.Attestation; a != nil {
		v.Attestation = &Attestation{SourceEpoch: a.Source, TargetEpoch: a.Target}
		if !a.RootUnknown {
			v.Attestation.SigningRoot = rootText(a.Root)
		}
	}
	if b := r.Block; b != nil {
		v.Block = &Block{Slot: b.Slot}
		if !b.RootUnknown {
			v.Block.SigningRoot = rootText(b.Root)
		}
	}
	return v
}

// String is the change as a line of words.
func (c Change) String() string {
	was := ""
	if c.Before != nil {
		was = c.Before.String() + " -> "
	}
	return fmt.Sprintf("%-9s  %s  %s%s", c.Result, c.Pubkey, was, c.After)
}

func (v Votes) String() string {
	attestation, block := "no attestation", "no block"
	if a := v.Attestation; a != nil {
		attestation = fmt.Sprintf("source %d target %d%s", a.SourceEpoch, a.TargetEpoch, rootNote(a.SigningRoot))
	}
	if b := v.Block; b != nil {
		block = fmt.Sprintf("slot %d%s", b.Slot, rootNote(b.SigningRoot))
	}
	return attestation + ", " + block
}

func rootNote(root string) string {
	if root == "" {
		return " (root unknown)"
	}
	return ""
}

// Summary counts what became of the records of all keys that were given.
type Summary struct {
	DryRun       bool     `json:"dry_run"`      // nothing was written
	Attestations int      `json:"attestations"` // messages of a file that was imported
	Blocks       int      `json:"blocks"`       // likewise
	New          int      `json:"new"`
	Raised       int      `json:"raised"`
	Unchanged    int      `json:"unchanged"`
	Warnings     []string `json:"warnings,omitempty"`
}

func (s *Summary) count(r Result) {
	switch r {
	case ResultNew:
		s.New++
	case ResultRaised:
		s.Raised++
	case ResultUnchanged:
		s.Unchanged++
	}
}

// String is the summary as a line of words.
func (s Summary) String() string {
	end := ""
	if s.DryRun {
		end = "; a dry run, nothing was written"
	}
	return fmt.Sprintf("%d new, %d raised, %d unchanged%s", s.New, s.Raised, s.Unchanged, end)
}
