package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

func newSlashingStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show which store it is, and how much it has on record",
		Args:  usage(cobra.NoArgs),
	}
	flags := newTargetFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		at, err := flags.find(cmd)
		if err != nil {
			return err
		}
		return at.use(cmd, func(o operations) error {
			s, err := o.Status(cmd.Context())
			if err != nil {
				return err
			}
			if *asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(s)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), s)
			return err
		})
	}
	return cmd
}
