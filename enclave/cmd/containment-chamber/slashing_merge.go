package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// merge puts records into the store, all or none, and then reports what became of each. A dry run only reports. The report
// compares with what was on record just before: what signers add meanwhile is not lost, but not in it either.
func (p protection) merge(cmd *cobra.Command, records []slashing.Record, dry bool) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	p.warnOfFuture(cmd.ErrOrStderr(), records)
	before, err := p.records(ctx, records)
	if err != nil {
		return err
	}
	if !dry {
		if err := p.Pin(ctx, p.network.ValidatorsRoot); err != nil {
			return fmt.Errorf("pin the network: %w", err)
		}
		if err := p.Merge(ctx, records); err != nil {
			return fmt.Errorf("merge into the store: %w", err)
		}
	}
	counts := make(map[string]int)
	for _, r := range records {
		have, there := before[r.Key]
		if !there {
			have.Key = r.Key
		}
		now := slashing.Merged(have, r)
		line, kind := recordText(now), "unchanged"
		switch {
		case sameRecord(have, now):
		case there:
			line, kind = recordText(have)+" -> "+line, "raised"
		default:
			kind = "new"
		}
		counts[kind]++
		if _, err := fmt.Fprintf(out, "%-9s  %s  %s\n", kind, r.Key, line); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	end := ""
	if dry {
		end = "; a dry run, nothing was written"
	}
	_, err = fmt.Fprintf(out, "%d new, %d raised, %d unchanged%s\n", counts["new"], counts["raised"], counts["unchanged"], end)
	return err
}

// warnOfFuture tells of records that would keep their keys from signing until the chain is there, which nothing can mend. A
// block may be proposed, and a vote made, by a clock that is a little fast.
func (p protection) warnOfFuture(stderr io.Writer, records []slashing.Record) {
	now, ok := p.network.EpochAt(time.Now())
	if !ok {
		return
	}
	ahead, highest := 0, uint64(0)
	for _, r := range records {
		epoch := uint64(0)
		if r.Attestation != nil {
			epoch = r.Attestation.Target
		}
		if r.Block != nil {
			epoch = max(epoch, p.network.EpochOf(r.Block.Slot))
		}
		if epoch > now+1 {
			ahead, highest = ahead+1, max(highest, epoch)
		}
	}
	if ahead > 0 {
		_, _ = fmt.Fprintf(stderr, "warning: %d keys get heights up to epoch %d, while it is epoch %d: they sign nothing until then, and nothing lowers them\n",
			ahead, highest, now)
	}
}

// records are what is on record for the keys of others.
func (p protection) records(ctx context.Context, others []slashing.Record) (map[bls.PublicKey]slashing.Record, error) {
	named := make(map[bls.PublicKey]bool, len(others))
	for _, r := range others {
		named[r.Key] = true
	}
	found := make(map[bls.PublicKey]slashing.Record)
	err := p.Each(ctx, func(r slashing.Record) error {
		if named[r.Key] {
			found[r.Key] = r
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	return found, nil
}

func sameRecord(a, b slashing.Record) bool {
	return equal(a.Attestation, b.Attestation) && equal(a.Block, b.Block)
}

func equal[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// recordText is a record in words.
func recordText(r slashing.Record) string {
	attestation, block := "no attestation", "no block"
	if a := r.Attestation; a != nil {
		attestation = fmt.Sprintf("source %d target %d%s", a.Source, a.Target, rootNote(a.RootUnknown))
	}
	if b := r.Block; b != nil {
		block = fmt.Sprintf("slot %d%s", b.Slot, rootNote(b.RootUnknown))
	}
	return attestation + ", " + block
}

func rootNote(unknown bool) string {
	if unknown {
		return " (root unknown)"
	}
	return ""
}
