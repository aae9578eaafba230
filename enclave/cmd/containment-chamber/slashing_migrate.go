package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newSlashingMigrate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema of the store to this release, and make the store if there is none",
		Long: `Bring the schema of the store to this release, and make the store if there is none.

It is for anti_slashing.migrate: check, where the role that signs may not change the schema: run it before the release is rolled
out, as a role that may, which --anti-slashing-url or CONTAINMENT_ANTI_SLASHING__URL names. It can be repeated.`,
		Args: usage(cobra.NoArgs),
	}
	load := loader(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		cfg.AntiSlashing.Migrate = "auto"
		return withProtection(cmd.Context(), cfg, true, func(p protection) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "store %s has the schema of this release\n", p.identity.ID)
			return err
		})
	}
	return cmd
}
