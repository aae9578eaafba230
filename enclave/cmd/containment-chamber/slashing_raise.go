package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

func newSlashingRaise() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "raise --slot S --source-epoch E --target-epoch E [--key KEY]...",
		Short: "Lift the records of all keys, or of some, so that nothing at or below these heights is signed",
		Long: `Lift the records of every key that has one, or of the named keys, to at least these heights, so that nothing at or below
them is signed: for a store that is older than what was signed, such as a restored one. Stop all signers first.

It cannot be undone: what is raised too high signs nothing until the chain is there. A record that is higher already
stays as it is. Give the slot, or both epochs, or all three.`,
		Args: usage(cobra.NoArgs),
	}
	load := loader(cmd)
	slot := cmd.Flags().Uint64("slot", 0, "no block at this `slot` or below will be signed")
	source := cmd.Flags().Uint64("source-epoch", 0, "no attestation with a source below this `epoch` will be signed")
	target := cmd.Flags().Uint64("target-epoch", 0, "no attestation with a target at this `epoch` or below will be signed")
	keys := cmd.Flags().StringArray("key", nil, "a public `key`, on record or not; may be repeated")
	dry := cmd.Flags().Bool("dry-run", false, "say what would change, and write nothing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		given := cmd.Flags().Changed
		if given("source-epoch") != given("target-epoch") || !given("slot") && !given("source-epoch") {
			return usageError{errors.New("want --slot, or --source-epoch and --target-epoch, or all three")}
		}
		var lift slashing.Record
		if given("slot") {
			lift.Block = &slashing.Block{Slot: *slot, RootUnknown: true}
		}
		if given("source-epoch") {
			lift.Attestation = &slashing.Attestation{Source: *source, Target: *target, RootUnknown: true}
		}
		switch {
		case *source > *target:
			return usageError{fmt.Errorf("--source-epoch %d is above --target-epoch %d", *source, *target)}
		case max(*slot, *target) > slashing.MaxHeight:
			return usageError{fmt.Errorf("%d is above %d, the highest that can be recorded", max(*slot, *target), uint64(slashing.MaxHeight))}
		}
		named, err := parseKeys(*keys)
		if err != nil {
			return usageError{err}
		}
		cfg, err := load()
		if err != nil {
			return err
		}
		return withProtection(cmd.Context(), cfg, false, func(p protection) error {
			records, err := p.lifts(cmd.Context(), lift, named)
			if err != nil {
				return err
			}
			return p.merge(cmd, records, *dry)
		})
	}
	return cmd
}

// lifts is lift for each named key, or without any for each key on record.
func (p protection) lifts(ctx context.Context, lift slashing.Record, named []bls.PublicKey) ([]slashing.Record, error) {
	var records []slashing.Record
	add := func(key bls.PublicKey) {
		lift.Key = key
		records = append(records, lift)
	}
	for _, key := range named {
		add(key)
	}
	if len(named) > 0 {
		return records, nil
	}
	err := p.Each(ctx, func(r slashing.Record) error {
		add(r.Key)
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	if len(records) == 0 {
		return nil, errors.New("the store has no key on record; name keys with --key, or import their history")
	}
	return records, nil
}

// parseKeys reads public keys, each of them once.
func parseKeys(texts []string) ([]bls.PublicKey, error) {
	seen := make(map[bls.PublicKey]bool)
	var keys []bls.PublicKey
	for _, text := range texts {
		key, err := bls.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("--key %q: %w", text, err)
		}
		if !seen[key] {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	return keys, nil
}
