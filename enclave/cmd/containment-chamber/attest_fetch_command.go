package main

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"os"

	"github.com/spf13/cobra"
)

func newAttestFetch() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fetch URL",
		Short: "Get the present document of a running enclave, or a proof for one connection to it",
		Long: `Get the present document of a running enclave, or a proof for one connection to it.

URL is https://host:port of its API, or http://host:port of its health port, which has no proofs. Without further flags
the document is written as it came, for "attest verify" or "attest describe". With --proof, --policy or
--attestation-root it is verified first, and not written if it is refused; over https it must then speak of the key of
the certificate that the server shows, and over http nothing tells who sent it.

Exit code: 0 written, and verified if that was asked for; 1 refused, or nothing came; 2 the command line, or a file that
it names, is wrong.`,
		Args: usage(cobra.ExactArgs(1)),
	}
	flags := newEvidenceFlags(cmd)
	proof := cmd.Flags().Bool("proof", false, "ask for a proof of this one connection, and check that it is one")
	out := cmd.Flags().StringP("out", "o", "-", "`file` to write to, - for standard output")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		base, err := parseSignerURL("URL", args[0])
		if err != nil {
			return err
		}
		j, err := flags.judge()
		if err != nil {
			return err
		}
		got, state, err := j.fetch(cmd, base, *proof, len(flags.given()) > 0)
		if err != nil {
			return err
		}
		if err := writeOutput(cmd, *out, got.document); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%d bytes from %s, %s\n", len(got.document), base.Redacted(), state)
		return nil
	}
	return cmd
}

// fetch gets a document or a proof, and says what is known of it: nothing, unless it is a proof or is to be verified.
func (j *judge) fetch(cmd *cobra.Command, base *url.URL, proof, verify bool) (got fetched, state string, err error) {
	switch {
	case proof:
		got, err = fetchProof(cmd.Context(), base, j)
		state = "proved, on a connection of its own, with nonce " + hex.EncodeToString(j.nonce)
	case verify:
		got, err = fetchVerified(cmd.Context(), base, j)
		if state = "verified, and of the key of this server's certificate"; base.Scheme == "http" {
			state = saysNothing
		}
	default:
		got, err = fetchDocument(cmd.Context(), base, nil)
		return got, `not verified: "attest verify" tells whether it holds`, err
	}
	if err == nil && j.policy == nil {
		warn(cmd, []string{noPolicy})
	}
	return got, state, err
}

// writeOutput writes a file that a flag names, or standard output for -.
func writeOutput(cmd *cobra.Command, path string, contents []byte) error {
	if path == "-" {
		_, err := cmd.OutOrStdout().Write(contents)
		return err
	}
	return os.WriteFile(path, contents, 0o644) //nolint:gosec // nothing in it is secret
}
