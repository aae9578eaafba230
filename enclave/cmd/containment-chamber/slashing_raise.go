package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
)

func newSlashingRaise() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "raise --to-now | --slot S --source-epoch E --target-epoch E [--key KEY]... [--keys-file FILE]",
		Short: "Lift the records of all keys, or of some, so that nothing at or below these heights is signed",
		Long: `Lift the records of every key that has one, or of the named keys, to at least these heights, so that nothing at or below
them is signed: for a store that is older than what was signed, such as a restored one. Stop all signers first.

With --to-now the heights are those of the next epoch: the last slot of it, and it for both epochs. That is by this machine's
clock and the configured network. It is one epoch more than has begun, because signers sign so far ahead of their clocks;
it is anti_slashing.max_future_epochs more where that is greater. The clock must not show an earlier epoch than those of
the signers did when they were stopped.

It cannot be undone: what is raised too high signs nothing until the chain is there. A record that is higher already
stays as it is. Without --to-now give the slot, or both epochs, or all three.`,
		Args: usage(cobra.NoArgs),
	}
	flags := newTargetFlags(cmd)
	slot := cmd.Flags().Uint64("slot", 0, "no block at this `slot` or below will be signed")
	source := cmd.Flags().Uint64("source-epoch", 0, "no attestation with a source below this `epoch` will be signed")
	target := cmd.Flags().Uint64("target-epoch", 0, "no attestation with a target at this `epoch` or below will be signed")
	toNow := newToNowFlag(cmd, "raise above all that signers can have signed by now, with the margin above", "slot", "source-epoch", "target-epoch")
	keys := newKeyFlags(cmd, "a public `key`, on record or not; may be repeated")
	dry := cmd.Flags().Bool("dry-run", false, "say what would change, and write nothing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		lift := admin.Lift{
			Slot:        heightOf(cmd, "slot", slot),
			SourceEpoch: heightOf(cmd, "source-epoch", source), TargetEpoch: heightOf(cmd, "target-epoch", target),
		}
		if err := toNow.check(cmd); err != nil {
			return err
		}
		if !*toNow.set {
			if err := checkLift(lift); err != nil {
				return err
			}
		}
		named, err := keys.read(cmd)
		if err != nil {
			return err
		}
		at, err := flags.find(cmd)
		if err != nil {
			return err
		}
		if *toNow.set {
			if lift, err = liftToNow(cmd, toNow, at.config); err != nil {
				return err
			}
		}
		return at.use(cmd, func(o operations) error {
			s, err := o.Raise(cmd.Context(), lift, named, *dry, printer(cmd))
			if err != nil {
				return err
			}
			if *toNow.set {
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "to slot %d, source epoch %d, target epoch %d\n", *lift.Slot, *lift.SourceEpoch, *lift.TargetEpoch); err != nil {
					return err
				}
			}
			return conclude(cmd, s)
		})
	}
	return cmd
}

// checkLift checks heights that were given.
func checkLift(l admin.Lift) error {
	if (l.SourceEpoch == nil) != (l.TargetEpoch == nil) || l.Slot == nil && l.SourceEpoch == nil {
		return usageError{errors.New("want --to-now, or --slot, or --source-epoch and --target-epoch, or all three")}
	}
	if l.SourceEpoch != nil && *l.SourceEpoch > *l.TargetEpoch {
		return usageError{fmt.Errorf("--source-epoch %d is above --target-epoch %d", *l.SourceEpoch, *l.TargetEpoch)}
	}
	return recordable(l.Slot, l.TargetEpoch)
}

// liftToNow lifts above all that signers with this configuration can have signed if their clocks are right, for whatever block and
// with whatever source.
func liftToNow(cmd *cobra.Command, toNow toNowFlag, cfg *config.Config) (admin.Lift, error) {
	ahead := cfg.AntiSlashing.MaxFutureEpochs
	if ahead == 0 {
		warn(cmd, []string{"anti_slashing.max_future_epochs is 0: what was signed further ahead than one epoch is not covered"})
	}
	h, err := toNow.heights(cfg, max(ahead, clockMargin))
	return admin.Lift{Slot: &h.slot, SourceEpoch: &h.epoch, TargetEpoch: &h.epoch}, err
}

func recordable(heights ...*uint64) error {
	for _, h := range heights {
		if h != nil && *h > slashing.MaxHeight {
			return usageError{fmt.Errorf("%d is above %d, the highest that can be recorded", *h, uint64(slashing.MaxHeight))}
		}
	}
	return nil
}
