package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// newConfigSealedContext makes "config sealed-context". A credential is encrypted before it can stand in the configuration, so that the command puts
// another text in its place, on which the context does not depend.
func newConfigSealedContext() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sealed-context",
		Short: "Print the KMS encryption context of the slashing store's sealed credential, as JSON",
		Long: `Print the KMS encryption context that anti_slashing.sealed_password or anti_slashing.dynamodb.sealed_access_key is encrypted with, as JSON for
"aws kms encrypt --encryption-context". It names the server, and so KMS opens the credential for no configuration that names another one.
The credential itself need not be there yet.`,
		Args: usage(cobra.NoArgs),
	}
	load := loader(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, name := range []string{"anti-slashing-sealed-password", "anti-slashing-dynamodb-sealed-access-key"} {
			if err := cmd.Flags().Set(name, "AAAA"); err != nil {
				return fmt.Errorf("leave out the credential: %w", err)
			}
		}
		cfg, err := load()
		if err != nil {
			return err
		}
		sealed, err := cfg.AntiSlashing.Sealed()
		if err != nil {
			return err
		}
		if sealed == nil {
			return usageError{errors.New("anti_slashing has no sealed credential: want backend postgres with password_source kms, or backend dynamodb")}
		}
		var text strings.Builder
		out := json.NewEncoder(&text)
		out.SetEscapeHTML(false)
		if err := out.Encode(sealed.Context); err != nil {
			return fmt.Errorf("print the context: %w", err)
		}
		fmt.Fprint(cmd.OutOrStdout(), text.String())
		return nil
	}
	return cmd
}
