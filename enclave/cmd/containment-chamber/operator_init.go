package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

func newOperatorInit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the master key, and share it among KMS keys",
		Long: `Make the master key, and share it among KMS keys, which the signers' configurations must allow. It prints the chamber's
id, to be set as chamber.id, and the first root token, which is not to be had again.` + operatorExit,
		Args: usage(cobra.NoArgs),
	}
	flags := newOperatorFlags(cmd, flagSetupToken)
	shares := newShareFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		body, err := shares.body()
		if err != nil {
			return err
		}
		signer, err := flags.dial()
		if err != nil {
			return err
		}
		defer signer.end()
		body.RootToken = chamber.NewRootToken() // made here, so that it is not lost with the answer
		answer, err := signer.post(cmd.Context(), routes.RouteInit, body)
		if err == nil {
			var done routes.Initialized
			err = flags.show(answer, &done, func(row rows) {
				printDone(row, done.Done)
				row("root token", "%s", shown(done.RootToken))
				row("", "keep it: it is not to be had again; set chamber.id to %s", shown(done.ChamberID))
			})
		}
		if err != nil && !refusedInit(err) {
			fmt.Fprintf(cmd.ErrOrStderr(), "it is not known whether the chamber was initialized; if \"operator status\" says so, its root token is\n%s\n", body.RootToken)
		}
		return err
	}
	return cmd
}

// refusedInit says whether an error is an answer by which nothing was initialized. Others can come after it was done: those of a proxy that
// waited no longer, or of a signer that does not know what became of its write.
func refusedInit(err error) bool {
	refused, ok := errors.AsType[*refusalError](err)
	if !ok {
		return false
	}
	switch refused.status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge:
		return true
	}
	return false
}

func newOperatorGenerateToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "generate-root-token",
		Short: "Make another root token",
		Long:  `Make another root token, which is printed once and not to be had again.` + operatorExit,
		Args:  usage(cobra.NoArgs),
	}
	flags := newOperatorFlags(cmd, flagAuthToken)
	lifetime := cmd.Flags().Duration("lifetime", 0, "how long it is valid, such as 8h; 0 is for ever")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *lifetime < 0 || *lifetime%time.Second != 0 {
			return usageError{errors.New("--lifetime: want whole seconds, not below 0")}
		}
		signer, err := flags.dial()
		if err != nil {
			return err
		}
		defer signer.end()
		answer, err := signer.post(cmd.Context(), routes.RouteGenerateToken, map[string]int64{"lifetime_seconds": int64(math.Round(lifetime.Seconds()))})
		if err != nil {
			return err
		}
		var t routes.Token
		return flags.show(answer, &t, func(row rows) {
			row("root token", "%s", shown(t.RootToken))
			row("id", "%s", shown(t.ID))
			row("expires", "%s", expiry(t.Expires))
		})
	}
	return cmd
}

// newOperatorSetupToken makes a command that asks nobody.
func newOperatorSetupToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "setup-token",
		Short: "Make a setup token for an enclave's configuration, offline",
		Long: `Make a setup token, and the hash of it that goes into the configuration as chamber.setup_token_sha256. Whoever has the
token can initialize the signer, once and until the token ends: "operator init --setup-token".`,
		Args: usage(cobra.NoArgs),
	}
	output := cmd.Flags().String("output", "table", "json or table")
	lifetime := cmd.Flags().Duration("lifetime", 7*24*time.Hour, "how long it is valid, such as 8h")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *lifetime < time.Second || *lifetime%time.Second != 0 {
			return usageError{errors.New("--lifetime: want whole seconds, at least 1s")}
		}
		expires := time.Now().Add(*lifetime)
		token := chamber.NewSetupToken(expires)
		sum := sha256.Sum256([]byte(token))
		hash := hex.EncodeToString(sum[:])
		switch *output {
		case "json":
			return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{
				"setup_token": token, "setup_token_sha256": hash, "expires": expires.UTC().Format(time.RFC3339),
			})
		case "table":
			return printTable(cmd.OutOrStdout(), func(row rows) {
				row("setup token", "%s", token)
				row("chamber.setup_token_sha256", "%s", hash)
				row("valid until", "%s", expires.UTC().Format(time.RFC3339))
			})
		}
		return usageError{fmt.Errorf("--output: %.40q, want json or table", *output)}
	}
	return cmd
}
