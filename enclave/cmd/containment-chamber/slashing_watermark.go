package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
)

func newSlashingHighWatermark() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "high-watermark [--to-now | [--slot S] [--epoch E] | --remove] [--key KEY]... [--keys-file FILE]",
		Short: "Show, set or remove the heights above which nothing is signed",
		Long: `Show, set or remove the high watermark: the last slot and the last target epoch that are signed, themselves included.

It is for freezing keys before they move to another signer, and holds for all signers of the store, those of all keys
and those of single keys; the lower ones count. A height that is not given stays as it is. Without flags it is shown.

With --to-now it is the end of the next epoch, by this machine's clock and the configured network. "raise --to-now",
on this machine and later, lifts to no less: what is raised so signs nothing that this still lets pass.`,
		Args: usage(cobra.NoArgs),
	}
	flags := newTargetFlags(cmd)
	slot := cmd.Flags().Uint64("slot", 0, "no block above this `slot` is signed")
	epoch := cmd.Flags().Uint64("epoch", 0, "no attestation with a target above this `epoch` is signed")
	toNow := newToNowFlag(cmd, "nothing after the next epoch is signed", "slot", "epoch", "remove")
	keys := newKeyFlags(cmd, "only for this public `key`; may be repeated")
	remove := cmd.Flags().Bool("remove", false, "take both limits away again")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		limit := admin.Limit{Slot: heightOf(cmd, "slot", slot), Epoch: heightOf(cmd, "epoch", epoch)}
		set := limit != admin.Limit{} || *toNow.set
		if err := toNow.check(cmd); err != nil {
			return err
		}
		switch {
		case set && *remove:
			return usageError{errors.New("--remove goes without --slot and --epoch")}
		case keys.given() && !set && !*remove:
			return usageError{errors.New("--key and --keys-file go with --slot, --epoch, --to-now or --remove")}
		}
		if err := recordable(limit.Slot, limit.Epoch); err != nil {
			return err
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
			h, err := toNow.heights(at.config, clockMargin)
			if err != nil {
				return err
			}
			limit = admin.Limit{Slot: &h.slot, Epoch: &h.epoch, OnlyLower: true} // a freeze that holds is not lifted by the clock
		}
		return at.use(cmd, func(o operations) error {
			var h admin.HighWatermarks
			switch ctx := cmd.Context(); {
			case set:
				h, err = o.SetHighWatermark(ctx, limit, named)
			case *remove:
				h, err = o.RemoveHighWatermark(ctx, named)
			default:
				h, err = o.HighWatermarks(ctx)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), h)
			return err
		})
	}
	return cmd
}
