package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/diagnostics"
)

// newOperatorLogLevel makes "operator log-level", which asks one replica.
func newOperatorLogLevel() *cobra.Command {
	levels := strings.Join(diagnostics.Levels(), ", ")
	cmd := &cobra.Command{
		Use:   "log-level [LEVEL]",
		Short: "Log more or less for a while, or show what is logged",
		Long: `Log another level than log.level for a while on the replica that is asked, or show which level is logged there and until
when. LEVEL is one of ` + levels + `. The configured level comes back by itself when the time is over, and with a restart; a second call
replaces the first. Both changes are lines of the log at every level.` + operatorExit,
		Args:      usage(cobra.MaximumNArgs(1)),
		ValidArgs: diagnostics.Levels(),
	}
	flags := newOperatorFlags(cmd, flagAuthToken)
	forTime := cmd.Flags().Duration("for", diagnostics.DefaultTime, "how long, from 1s to 24h")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		method, body, err := logLevelRequest(args, *forTime, cmd.Flags().Changed("for"))
		if err != nil {
			return err
		}
		signer, err := flags.dial()
		if err != nil {
			return err
		}
		defer signer.end()
		answer, err := signer.ask(cmd.Context(), method, diagnostics.RouteLogLevel, body)
		if err != nil {
			return noDiagnostics(err)
		}
		var now diagnostics.Level
		return flags.show(answer, &now, func(row rows) { printLevel(row, now, time.Now()) })
	}
	return cmd
}

// logLevelRequest reads what is asked for.
func logLevelRequest(args []string, d time.Duration, timed bool) (method string, body any, err error) {
	switch {
	case len(args) == 0 && timed:
		return "", nil, usageError{errors.New("--for: there is no LEVEL to hold for so long")}
	case len(args) == 0:
		return http.MethodGet, nil, nil
	case !slices.Contains(diagnostics.Levels(), args[0]):
		return "", nil, usageError{fmt.Errorf("%.40q: want one of %s", args[0], strings.Join(diagnostics.Levels(), ", "))}
	case d < diagnostics.MinTime || d > diagnostics.MaxTime || d%time.Second != 0:
		return "", nil, usageError{errors.New("--for: want whole seconds, from 1s to 24h")}
	}
	return http.MethodPost, diagnostics.LevelFor{Level: args[0], Seconds: int64(d / time.Second)}, nil
}

func printLevel(row rows, l diagnostics.Level, now time.Time) {
	row("level", "%s", shown(l.Level))
	if !l.Until.IsZero() {
		row("until", "%s, in %s", l.Until.Format(time.RFC3339), l.Until.Sub(now).Round(time.Second))
		row("afterwards", "%s", shown(l.Configured))
	}
}

// noDiagnostics says what it means that there is no such route.
func noDiagnostics(err error) error {
	if refused, ok := errors.AsType[*refusalError](err); ok && refused.status == http.StatusNotFound {
		return errors.New("the signer does not serve it: it is of another release, or this is its health port")
	}
	return err
}
