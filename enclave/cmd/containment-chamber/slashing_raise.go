package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
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
	flags := newTargetFlags(cmd)
	slot := cmd.Flags().Uint64("slot", 0, "no block at this `slot` or below will be signed")
	source := cmd.Flags().Uint64("source-epoch", 0, "no attestation with a source below this `epoch` will be signed")
	target := cmd.Flags().Uint64("target-epoch", 0, "no attestation with a target at this `epoch` or below will be signed")
	keys := cmd.Flags().StringArray("key", nil, "a public `key`, on record or not; may be repeated")
	dry := cmd.Flags().Bool("dry-run", false, "say what would change, and write nothing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		lift := admin.Lift{
			Slot:        heightOf(cmd, "slot", slot),
			SourceEpoch: heightOf(cmd, "source-epoch", source), TargetEpoch: heightOf(cmd, "target-epoch", target),
		}
		switch {
		case (lift.SourceEpoch == nil) != (lift.TargetEpoch == nil) || lift.Slot == nil && lift.SourceEpoch == nil:
			return usageError{errors.New("want --slot, or --source-epoch and --target-epoch, or all three")}
		case *source > *target:
			return usageError{fmt.Errorf("--source-epoch %d is above --target-epoch %d", *source, *target)}
		}
		if err := recordable(*slot, *target); err != nil {
			return err
		}
		named, err := parseKeys(*keys)
		if err != nil {
			return err
		}
		at, err := flags.find(cmd)
		if err != nil {
			return err
		}
		return at.use(cmd, func(o operations) error {
			s, err := o.Raise(cmd.Context(), lift, named, *dry, printer(cmd))
			if err != nil {
				return err
			}
			return conclude(cmd, s)
		})
	}
	return cmd
}

func recordable(heights ...uint64) error {
	for _, h := range heights {
		if h > slashing.MaxHeight {
			return usageError{fmt.Errorf("%d is above %d, the highest that can be recorded", h, uint64(slashing.MaxHeight))}
		}
	}
	return nil
}
