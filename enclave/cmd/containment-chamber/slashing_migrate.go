package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/app"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
)

func newSlashingMigrate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema of the store to this release, and make the store if there is none",
		Long: `Bring the schema of the store to this release, and make the store if there is none.

It is for anti_slashing.migrate: check, where the role that signs may not change the schema: run it before the release is rolled
out, as a role that may, which --anti-slashing-url or CONTAINMENT_ANTI_SLASHING__URL names. It can be repeated. A DynamoDB table
is made by this command alone: no signer makes one.`,
		Args: usage(cobra.NoArgs),
	}
	flags := newTargetFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("signer-url") {
			return usageError{errors.New("migrate goes without --signer-url: a signer brings the schema to its own release when it starts, " +
				"or its role may not; name the store with -c")}
		}
		at, err := flags.find(cmd)
		if err != nil {
			return err
		}
		at.config.AntiSlashing.Migrate = "auto"
		if at.config.AntiSlashing.Backend == "dynamodb" { // whose tables no signer makes
			if err := app.MakeTable(cmd.Context(), awsCredentials, at.config.AntiSlashing, egress.Direct()); err != nil {
				return err
			}
		}
		return withStore(cmd.Context(), at.config, true, func(a *admin.Admin) error {
			id, err := a.StoreID(cmd.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "store %s has the schema of this release\n", id)
			return err
		})
	}
	return cmd
}
