package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/interchange"
)

func newSlashingExport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export [FILE|-]",
		Short: "Write the store as a minimal EIP-3076 interchange file",
		Long: `Write the store as a minimal EIP-3076 interchange file: the last attestation and the last block of each key.

A FILE is replaced only when the whole export is on disk. Without one, and for "-", it goes to standard output. Stop
all signers that use the store first: what they sign afterwards is not in the file.`,
		Args: usage(cobra.MaximumNArgs(1)),
	}
	load := loader(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		return withProtection(cmd.Context(), cfg, false, func(p protection) error {
			if len(args) == 0 || args[0] == "-" {
				_, err := p.export(cmd, cmd.OutOrStdout())
				return err
			}
			keys := 0
			err := replaceFile(args[0], func(w io.Writer) (err error) {
				keys, err = p.export(cmd, w)
				return err
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote %d keys to %s\n", keys, args[0])
			return nil
		})
	}
	return cmd
}

// export writes every record and says of how many keys.
func (p protection) export(cmd *cobra.Command, w io.Writer) (keys int, err error) {
	ctx := cmd.Context()
	bar := newProgress(cmd.ErrOrStderr(), "exporting keys", 0)
	defer bar.end()
	err = interchange.Write(w, p.network.ValidatorsRoot, func(f func(slashing.Record) error) error {
		return p.Each(ctx, func(r slashing.Record) error {
			keys++
			bar.add(1)
			if err := context.Cause(ctx); err != nil {
				return err
			}
			return f(r)
		})
	})
	if err != nil {
		return keys, fmt.Errorf("export: %w", err)
	}
	return keys, nil
}

// replaceFile writes a file of mode 0600 that appears under its name whole, or not at all.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
