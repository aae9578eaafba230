package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/app"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/interchange"
)

func newSlashingImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Merge an EIP-3076 interchange file into the store",
		Long: `Merge an EIP-3076 interchange file, complete or minimal, into the store. Of each key the greater heights stay on record.

The file is read to its end before anything is written: one that is not whole and right, or is for another network,
changes nothing. It can be imported again. "-" is standard input.`,
		Args: usage(cobra.ExactArgs(1)),
	}
	load := loader(cmd)
	dry := cmd.Flags().Bool("dry-run", false, "say what would change, and write nothing; the store must exist")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		contents, err := readInterchange(cmd, cfg, args[0])
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		return withProtection(cmd.Context(), cfg, !*dry, func(p protection) error {
			fmt.Fprintf(out, "read %d attestations and %d blocks of %d keys\n", contents.Attestations, contents.Blocks, len(contents.Records))
			return p.merge(cmd, contents.Records, *dry)
		})
	}
	return cmd
}

// readInterchange reads a whole file for the configured network.
func readInterchange(cmd *cobra.Command, cfg *config.Config, path string) (interchange.Contents, error) {
	network, err := app.NetworkOf(cfg)
	if err != nil {
		return interchange.Contents{}, usageError{err}
	}
	r, name, size := cmd.InOrStdin(), "standard input", int64(0)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return interchange.Contents{}, err
		}
		defer f.Close() //nolint:errcheck // it was only read
		info, err := f.Stat()
		if err != nil {
			return interchange.Contents{}, err
		}
		r, name, size = f, path, info.Size()
	}
	bar := newProgress(cmd.ErrOrStderr(), "reading "+name, size)
	contents, err := interchange.Read(watched{cmd.Context(), r, bar}, network.ValidatorsRoot)
	bar.end()
	if err != nil {
		return contents, fmt.Errorf("%s: %w; nothing was imported", name, err)
	}
	return contents, nil
}

// watched is a reader that shows how far it is, and fails when its context has ended.
type watched struct {
	ctx context.Context //nolint:containedctx // Read has no other way to learn that the command was interrupted
	r   io.Reader
	bar *progress
}

func (w watched) Read(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.r.Read(b)
	w.bar.add(int64(n))
	return n, err
}
