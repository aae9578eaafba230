package main

import (
	"encoding/hex"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config/manual"
)

// Exit codes of "config diff", beside those of every command.
const (
	exitUnmeasured = 3 // they differ, the digest does not
	exitMeasured   = 4 // the digest differs
)

// exitError ends the process with a code of its own.
type exitError struct {
	code int
	text string
}

func (e exitError) Error() string { return e.text }

// ExitCode is what main exits with.
func (e exitError) ExitCode() int { return e.code }

// newConfigCommand makes "config", which reads configurations and starts nothing.
func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check, measure, compare and explain configurations",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigCheck(), newConfigDigest(), newConfigDiff(), newConfigExample(), newConfigSealedContext())
	return cmd
}

func newConfigCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Read file, environment and flags as server does; print every problem and every warning",
		Args:  usage(cobra.NoArgs),
	}
	load := loader(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		for _, warning := range cfg.Warnings() {
			fmt.Fprintln(cmd.OutOrStdout(), "warning:", warning)
		}
		fmt.Fprintln(cmd.OutOrStdout(), "ok")
		return nil
	}
	return cmd
}

func newConfigDigest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "digest",
		Short: "Print the SHA-384 of the measured keys, what an enclave extends PCR16 with",
		Args:  usage(cobra.NoArgs),
	}
	load := loader(cmd)
	verbose := cmd.Flags().Bool("verbose", false, "print the measured JSON instead, whose SHA-384 (without newline) is the digest")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		digest := cfg.Digest()
		text := hex.EncodeToString(digest[:])
		if *verbose {
			text = string(cfg.Measured())
		}
		fmt.Fprintln(cmd.OutOrStdout(), text)
		return nil
	}
	return cmd
}

func newConfigDiff() *cobra.Command {
	return &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Compare two files, and say which changes give another digest",
		Long: `Compare two files as written, without environment and flags, and say which changes are measured.

Exit code: 0 equal, 3 they differ in nothing that is measured, 4 the digest differs, 2 a file is not valid.`,
		Args: usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, files []string) error {
			before, err := config.Load(config.Sources{Path: files[0]})
			if err != nil {
				return usageError{err}
			}
			after, err := config.Load(config.Sources{Path: files[1]})
			if err != nil {
				return usageError{err}
			}
			changes := config.Diff(before, after)
			for _, c := range changes {
				mark := "          "
				if c.Measured {
					mark = "measured  "
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s%s: %s -> %s\n", mark, c.Key, c.Old, c.New)
			}
			switch {
			case before.Digest() != after.Digest():
				return exitError{exitMeasured, "the configurations differ in measured keys: approve the new digest before the rollout"}
			case len(changes) > 0:
				return exitError{exitUnmeasured, "the configurations differ; the digest is the same"}
			}
			return nil
		},
	}
}

func newConfigExample() *cobra.Command {
	return &cobra.Command{
		Use:   "example",
		Short: "Print an example configuration that explains every key",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := manual.Example()
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), text)
			return nil
		},
	}
}

// loader gives cmd the flags of the configuration, and returns what loads it as server would.
func loader(cmd *cobra.Command) func() (*config.Config, error) {
	path := cmd.Flags().StringP("config", "c", "", "YAML `file`")
	config.RegisterFlags(cmd.Flags())
	return func() (*config.Config, error) {
		cfg, err := config.Load(config.Sources{Path: *path, Environ: os.Environ(), Flags: cmd.Flags()})
		if err != nil {
			return nil, usageError{err}
		}
		return cfg, nil
	}
}
