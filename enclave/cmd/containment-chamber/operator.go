package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

const (
	statusLimit = 30 * time.Second
	maxStatus   = 1 << 20 // bytes
)

// newOperatorCommand makes "operator", which works on running signers.
func newOperatorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "operator",
		Short: "See the state of a running signer, and work its chamber",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newOperatorStatus(), newOperatorSetupToken(), newOperatorInit(), newOperatorGenerateToken(), newOperatorRotate(),
		newOperatorPolicy(), newOperatorToken(), newOperatorBackup(), newOperatorRestore(), newOperatorImport(), newOperatorMigrate())
	cmd.AddCommand(newOperatorLogLevel())
	cmd.AddCommand(newOperatorSupportBundle())
	cmd.AddCommand(newOperatorVerbs()...)
	cmd.AddCommand(newOperatorListKeys(), newOperatorGenerateKeys(), newOperatorKeyBackup())
	cmd.AddCommand(newOperatorKeyChanges()...)
	return cmd
}

func newOperatorStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show seal, attestation, keys and the health of each part",
		Long: `Show seal, attestation, keys and the health of each part, as the signer tells them. With --policy or
--trust-on-first-use it is known that the signer is the enclave that it should be; else it is its word.

It needs a token with scope chamber_status. A signer that is sealed or uninitialized cannot tell one token from another, and
tells everybody its state, and why it is in it.

Exit code: 0 the signer answered, healthy or not; 1 it did not, or was refused; 2 the command line, or a file that it
names, is wrong.`,
		Args: usage(cobra.NoArgs),
	}
	address := cmd.Flags().String("signer-url", "", "`URL` of the signer's API")
	output := cmd.Flags().String("output", "json", "json, as the signer sends it, or table")
	token := newTokenFlags(cmd)
	flags := newAttestedFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case *address == "":
			return usageError{errors.New("--signer-url is needed")}
		case *output != "json" && *output != "table":
			return usageError{fmt.Errorf("--output: %.40q, want json or table", *output)}
		}
		body, err := askStatus(cmd, *address, flags, token)
		if err != nil {
			return err
		}
		var s operator.Status
		if err := json.Unmarshal(body, &s); err != nil {
			return fmt.Errorf("the signer's answer: %w", err)
		}
		if *output == "table" {
			return printStatus(cmd.OutOrStdout(), s, time.Now())
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, bytes.TrimSpace(body), "", "  "); err != nil {
			return fmt.Errorf("the signer's answer: %w", err)
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), indented.String())
		return err
	}
	return cmd
}

// askStatus gets the signer's answer.
func askStatus(cmd *cobra.Command, address string, flags *attestedFlags, secret tokenFlags) ([]byte, error) {
	base, err := parseSignerURL("--signer-url", address)
	if err != nil {
		return nil, err
	}
	token, err := secret.read(base)
	if err != nil {
		return nil, err
	}
	trust, err := flags.recognize(cmd, base)
	if err != nil {
		return nil, err
	}
	transport, err := trust.transport(atls.TransportOptions{DialTimeout: handshakeLimit, MaxConnections: 1}, &http.Transport{
		TLSHandshakeTimeout: handshakeLimit, DisableKeepAlives: true,
	})
	if err != nil {
		return nil, err
	}
	defer transport.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), statusLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath(operator.RouteStatus).String(), nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: withToken(transport, token), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if failed, ok := errors.AsType[*url.Error](err); ok { // the caller knows the URL, which may hold a password
		err = failed.Err
	}
	if err != nil {
		return nil, fmt.Errorf("no answer of the signer: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxStatus))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the signer's answer: %w", err)
	case res.StatusCode == http.StatusNotFound:
		return nil, errors.New("the signer does not serve " + operator.RouteStatus + ": it is of another release, or this is its health port")
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the signer answers %s: %.400q", res.Status, body)
	}
	return body, nil
}
