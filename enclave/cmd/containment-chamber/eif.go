package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/policyfile"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

// newEIFCommand makes "eif", which reads enclave images.
func newEIFCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "eif",
		Short: "Measure and describe enclave image files",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newEIFMeasure(), newEIFDescribe())
	return cmd
}

func newEIFMeasure() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "measure FILE",
		Short: "Print the registers of an enclave that runs this image, outside debug mode",
	}
	return reading(cmd, func(file *eif.File) any { return file.Describe().PCRs }, func(out io.Writer, file *eif.File) error {
		for _, index := range attestation.Registers() {
			value, ok := file.PCRs[index]
			if !ok {
				continue
			}
			if _, err := fmt.Fprintf(out, "PCR%d %s  %s\n", index, value, policyfile.Meaning(index)); err != nil {
				return err
			}
		}
		return nil
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
	info, err := os.Stat(path)
	if err != nil {
		return nil, usageError{err}
	}
	if !info.Mode().IsRegular() { // which may wait for a writer when it is opened
		return nil, usageError{fmt.Errorf("%s: is no regular file", path)}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, usageError{err}
	}
	defer func() { _ = file.Close() }() // nothing was written
	parsed, err := eif.Parse(file, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return parsed, nil
}
