package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// newAttestCommand makes "attest", which works with evidence of what an enclave is.
func newAttestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "attest",
		Short: "Fetch, describe and verify evidence of what an enclave is; make policies; keep what is trusted",
		Long: `Fetch, describe and verify evidence of what an enclave is; make policies; keep what is trusted.

Exit code: 0 verified, or done; 1 refused, or failed; 2 the command line, or a file that it names, is wrong.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAttestVerify(), newAttestDescribe(), newAttestFetch(), newAttestPolicy(), newAttestTrust())
	return cmd
}

// printJSON prints indented JSON. Nothing in it is escaped for HTML.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// readInput reads a file that an argument names, or standard input for -, and at most so many bytes. The error names it.
func readInput(cmd *cobra.Command, path string, limit int64) ([]byte, error) {
	in := cmd.InOrStdin()
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, usageError{err}
		}
		defer func() { _ = file.Close() }() // nothing was written
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, limit+1))
	switch {
	case err != nil:
		return nil, usageError{fmt.Errorf("%s: %w", path, err)}
	case int64(len(text)) > limit:
		return nil, fmt.Errorf("%s: larger than %d bytes", path, limit)
	}
	return text, nil
}
