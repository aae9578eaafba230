package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
)

// newSlashingCommand makes "slashing", which works on a store or through a running signer.
func newSlashingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "slashing",
		Short: "Import, export, show, raise and freeze what the slashing protection has on record",
		Long: `Import, export, show, raise and freeze what the slashing protection has on record.

With -c it works on the store that the configuration names, and needs no signer. With --signer-url it works through a
running signer, whose configuration must have anti_slashing.api: true. A line on standard error says which it was.
Nothing lowers a record.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSlashingImport(), newSlashingExport(), newSlashingStatus(), newSlashingRaise(), newSlashingInit(),
		newSlashingHighWatermark(), newSlashingMigrate())
	return cmd
}

// operations is what can be done to a store, alike by an admin.Admin of it and by an admin.Client of a signer that uses it.
type operations interface {
	Status(ctx context.Context) (admin.Status, error)
	Export(ctx context.Context, w io.Writer) (warnings []string, err error)
	Raise(ctx context.Context, l admin.Lift, keys []bls.PublicKey, dryRun bool, tell admin.Tell) (admin.Summary, error)
	Init(ctx context.Context, keys []bls.PublicKey, dryRun bool, tell admin.Tell) (admin.Summary, error)
	HighWatermarks(ctx context.Context) (admin.HighWatermarks, error)
	SetHighWatermark(ctx context.Context, l admin.Limit, keys []bls.PublicKey) (admin.HighWatermarks, error)
	RemoveHighWatermark(ctx context.Context, keys []bls.PublicKey) (admin.HighWatermarks, error)
}

// heightOf is what a flag says, nil if it was not given.
func heightOf(cmd *cobra.Command, flag string, value *uint64) *uint64 {
	if !cmd.Flags().Changed(flag) {
		return nil
	}
	return value
}

// printer prints a line for each record.
func printer(cmd *cobra.Command) admin.Tell {
	out := cmd.OutOrStdout()
	return func(c admin.Change) error {
		_, err := fmt.Fprintln(out, c)
		return err
	}
}

// conclude prints what it all came to.
func conclude(cmd *cobra.Command, s admin.Summary) error {
	warn(cmd, s.Warnings)
	_, err := fmt.Fprintln(cmd.OutOrStdout(), s)
	return err
}

func warn(cmd *cobra.Command, warnings []string) {
	for _, w := range warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
	}
}
