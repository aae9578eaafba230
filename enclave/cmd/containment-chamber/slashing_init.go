package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newSlashingInit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init --key KEY... | --keys-file FILE",
		Short: "Make keys known that have never signed, for anti_slashing.unknown_keys: refuse",
		Long: `Give each of these keys the lowest record, source 0, target 0 and slot 0, so that the store knows it and its votes are
not refused by anti_slashing.unknown_keys: refuse. An attestation with target 0 and a block of slot 0 are not signed then.

It is for keys that have never signed anywhere; import the history of others. A key that has any record keeps it as it is.`,
		Args: usage(cobra.NoArgs),
	}
	flags := newTargetFlags(cmd)
	keys := newKeyFlags(cmd, "a public `key`; may be repeated")
	dry := cmd.Flags().Bool("dry-run", false, "say what would change, and write nothing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		named, err := keys.read(cmd)
		if err != nil {
			return err
		}
		if named == nil {
			return usageError{errors.New("want --key, which may be repeated, or --keys-file")}
		}
		at, err := flags.find(cmd)
		if err != nil {
			return err
		}
		return at.use(cmd, func(o operations) error {
			s, err := o.Init(cmd.Context(), named, *dry, printer(cmd))
			if err != nil {
				return err
			}
			return conclude(cmd, s)
		})
	}
	return cmd
}
