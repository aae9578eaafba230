package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "containment-chamber %s %s/%s %s\n", wire.Release, runtime.GOOS, runtime.GOARCH, runtime.Version())
			return err
		},
	}
}
