package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

// newEIFCommand makes "eif", which builds and reads enclave images.
func newEIFCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "eif",
		Short: "Build, sign, describe, measure, verify and compare enclave image files",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newEIFMeasure(), newEIFDescribe(), newEIFBuild(), newEIFSign(), newEIFVerify(), newEIFDiff())
	return cmd
}

func newEIFMeasure() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "measure FILE",
		Short: "Print the registers of an enclave that runs this image, outside debug mode",
	}
	return reading(cmd, func(file *eif.File) any { return file.Describe().PCRs }, func(out io.Writer, file *eif.File) error {
		return printRegisters(out, file.PCRs)
	})
}

func newEIFDescribe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe FILE",
		Short: "Show everything that stands in an image, and what of it is measured",
	}
	return reading(cmd, func(file *eif.File) any { return file.Describe() }, func(out io.Writer, file *eif.File) error {
		_, err := fmt.Fprint(out, file.Describe())
		return err
	})
}

// reading has a command read one image and print what it says of it, as JSON or as text.
func reading(cmd *cobra.Command, value func(*eif.File) any, text func(io.Writer, *eif.File) error) *cobra.Command {
	cmd.Args = usage(cobra.ExactArgs(1))
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		file, err := parseImage(args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), value(file))
		}
		return text(cmd.OutOrStdout(), file)
	}
	return cmd
}

// parseImage reads and measures an image. What is returned does not read the file again.
func parseImage(path string) (*eif.File, error) {
	image, err := openImage(path)
	if err != nil {
		return nil, err
	}
	image.close()
	return image.File, nil
}

// openedImage is an image whose sections can be read still.
type openedImage struct {
	*eif.File
	path string
	file *os.File
}

func (f openedImage) close() { _ = f.file.Close() } // nothing was written

// openImage reads and measures an image, and leaves it open.
func openImage(path string) (openedImage, error) {
	info, err := os.Stat(path)
	if err != nil {
		return openedImage{}, usageError{err}
	}
	if !info.Mode().IsRegular() { // which may wait for a writer when it is opened
		return openedImage{}, usageError{fmt.Errorf("%s: is no regular file", path)}
	}
	file, err := os.Open(path)
	if err != nil {
		return openedImage{}, usageError{err}
	}
	parsed, err := eif.Parse(file, info.Size())
	if err != nil {
		_ = file.Close() // nothing was written
		return openedImage{}, fmt.Errorf("%s: %w", path, err)
	}
	return openedImage{parsed, path, file}, nil
}
