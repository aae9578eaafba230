// Command containment-chamber is an Ethereum remote signer: it signs validator duties, and never two that conflict.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // the command did not do what it should
	exitUsage   = 2 // the command line or the configuration is wrong
)

// usageError is a mistake in the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole command. The first SIGTERM or SIGINT drains; a second one ends the process at once.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintf(stderr, "containment-chamber: %v\n", err)
	if own, ok := errors.AsType[exitError](err); ok {
		return own.ExitCode()
	}
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailure
}

// usage makes a mistake in the arguments a usageError, as one in the flags is.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "containment-chamber",
		Short:         "An Ethereum remote signer that never signs two conflicting messages",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newServerCommand(), newSlashingCommand(), newAttestCommand(), newEIFCommand(), newOperatorCommand(), newConfigCommand(), newTablesCommand(), newConnectCommand(), newVersionCommand(),
		newCompletionCommand(), newManCommand())
	completeValues(root)
	return root
}
