package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/app"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/interchange"
)

func newSlashingImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Merge an EIP-3076 interchange file into what is on record",
		Long: `Merge an EIP-3076 interchange file, complete or minimal, into the store. Of each key the greater heights stay on record.

The file is read to its end before anything is written: one that is not whole and right, or is for another network,
changes nothing. It can be imported again, and while signers sign. "-" is standard input.`,
		Args: usage(cobra.ExactArgs(1)),
	}
	flags := newTargetFlags(cmd)
	dry := cmd.Flags().Bool("dry-run", false, "say what would change, and write nothing; the store must exist")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, err := flags.find(cmd)
		if err != nil {
			return err
		}
		file, err := openFile(cmd, args[0])
		if err != nil {
			return err
		}
		defer file.close()
		keys := 0
		tell := func(c admin.Change) error {
			keys++
			return printer(cmd)(c)
		}
		s, err := at.importFrom(cmd, file, *dry, tell)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "read %d attestations and %d blocks of %d keys\n", s.Attestations, s.Blocks, keys); err != nil {
			return err
		}
		return conclude(cmd, s)
	}
	return cmd
}

// importFrom reads the whole file before it opens a store: one that is not right must not make one.
func (t target) importFrom(cmd *cobra.Command, file *file, dry bool, tell admin.Tell) (s admin.Summary, err error) {
	ctx := cmd.Context()
	if t.client != nil {
		defer t.end()
		s, err = t.client.Import(ctx, file, dry, tell)
		file.bar.end()
		return s, file.named(err)
	}
	contents, err := file.contents(t.config)
	if err != nil {
		return s, err
	}
	err = withStore(ctx, t.config, !dry, func(a *admin.Admin) (err error) {
		s, err = a.Merge(ctx, contents, dry, tell)
		return err
	})
	return s, err
}

// file is a file that is being imported. Reading it shows how far it is, and fails when the command is interrupted.
type file struct {
	ctx   context.Context //nolint:containedctx // a reader has no other way to learn that the command was interrupted
	r     io.Reader
	name  string
	bar   *progress
	close func()
}

func openFile(cmd *cobra.Command, path string) (*file, error) {
	f := &file{ctx: cmd.Context(), r: cmd.InOrStdin(), name: "standard input", close: func() {}}
	size := int64(0)
	if path != "-" {
		opened, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		f.r, f.name, f.close = opened, path, func() { _ = opened.Close() } // it was only read
		info, err := opened.Stat()
		if err != nil {
			f.close()
			return nil, err
		}
		size = info.Size()
	}
	f.bar = newProgress(cmd.ErrOrStderr(), "reading "+f.name, size)
	return f, nil
}

func (f *file) Read(b []byte) (int, error) {
	if err := context.Cause(f.ctx); err != nil {
		return 0, err
	}
	n, err := f.r.Read(b)
	f.bar.add(int64(n))
	return n, err
}

// contents reads the whole file for the configured network.
func (f *file) contents(cfg *config.Config) (interchange.Contents, error) {
	network, err := app.NetworkOf(cfg)
	if err != nil {
		return interchange.Contents{}, usageError{err}
	}
	contents, err := admin.Read(f, network)
	f.bar.end()
	return contents, f.named(err)
}

// named says which file an error is about.
func (f *file) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", f.name, err)
}
