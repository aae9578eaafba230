package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func newSlashingExport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export [FILE|-]",
		Short: "Write what is on record as a minimal EIP-3076 interchange file",
		Long: `Write what is on record as a minimal EIP-3076 interchange file: the last attestation and the last block of each key.

A FILE is replaced only when the whole export is on disk. Without one, and for "-", it goes to standard output. What
signers sign afterwards is not in the file: stop them all first, or freeze the keys with a high watermark.`,
		Args: usage(cobra.MaximumNArgs(1)),
	}
	flags := newTargetFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, err := flags.find(cmd)
		if err != nil {
			return err
		}
		return at.use(cmd, func(o operations) error {
			if len(args) == 0 || args[0] == "-" {
				_, err := export(cmd, o, cmd.OutOrStdout())
				return err
			}
			keys := 0
			err := replaceFile(args[0], func(w io.Writer) (err error) {
				keys, err = export(cmd, o, w)
				return err
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %d keys to %s\n", keys, args[0])
			return err
		})
	}
	return cmd
}

// export writes every record and says of how many keys.
func export(cmd *cobra.Command, o operations, w io.Writer) (keys int, err error) {
	bar := newProgress(cmd.ErrOrStderr(), "exporting keys", 0)
	counted := &keyCounter{w: w, bar: bar}
	warnings, err := o.Export(cmd.Context(), counted)
	bar.end()
	if err != nil {
		return 0, fmt.Errorf("export: %w", err)
	}
	warn(cmd, warnings)
	return counted.keys, nil
}

// keyCounter counts the keys of an interchange file as it is written: each has one field of this name.
type keyCounter struct {
	w    io.Writer
	bar  *progress
	keys int
	last []byte // of what was written, too short to hold the field
}

func (c *keyCounter) Write(b []byte) (int, error) {
	field := []byte(`"pubkey"`)
	text := append(c.last, b...)
	keys := bytes.Count(text, field)
	c.keys += keys
	c.bar.add(int64(keys))
	c.last = append(c.last[:0], text[max(0, len(text)-len(field)+1):]...)
	return c.w.Write(b)
}

// replaceFile writes a file of mode 0600 that appears under its name whole, or not at all.
// What is no regular file stays: to replace a device or a link is not what was meant.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file; leave FILE out for standard output", path)
	}
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
