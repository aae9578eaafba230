package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/lines"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/resolve"
)

// checksAtOnce is how many routes are tried at a time.
const checksAtOnce = 16

func newCheckCommand() *cobra.Command {
	var path, output string
	var sets []string
	cmd := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Try every route, and the enclave; a parent may run meanwhile",
		Long: "Look up and connect to the host of every route, as the parent does for the enclave, and ask the enclave for its health.\n" +
			"It listens nowhere, so that a parent may run meanwhile. The exit code is 0 only if all went well. A certificate is told, not judged: that is the enclave's.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return usageError{errors.New("check: no configuration file; want -c FILE")}
			}
			if output != "table" && output != "json" {
				return usageError{fmt.Errorf("--output %q: want table or json", output)}
			}
			cfg, err := config.Load(path, os.Environ(), sets)
			if err != nil {
				return usageError{err}
			}
			findings := check(cmd.Context(), cfg, resolve.Lookup)
			if output == "json" {
				err = printJSON(cmd.OutOrStdout(), findings)
			} else {
				err = printTable(cmd.OutOrStdout(), findings)
			}
			return errors.Join(err, verdict(findings))
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "the YAML `file` of the parent")
	cmd.Flags().StringArrayVar(&sets, "set", nil, "override one `key.path=value` of the file and of CONTAINMENT_… variables; may be repeated")
	cmd.Flags().StringVar(&output, "output", "table", "table or json")
	return cmd
}

// finding is what became of one try.
type finding struct {
	Name      string   `json:"name"`      // of the route, or "enclave" with a path
	Target    string   `json:"target"`    // HOST:PORT, or the address of the enclave's listener
	Addresses []string `json:"addresses"` // of the host
	Result    string   `json:"result"`    // "ok", or a word for what went wrong, as in the metrics
	// Seconds is how long it took to connect, or to get the enclave's answer; until it went wrong, if it did.
	Seconds float64 `json:"seconds"`
	Detail  string  `json:"detail"` // the certificate, or the reason
}

const resultOK = "ok"

// check tries everything. The order is that of the route table, the enclave last.
func check(ctx context.Context, cfg *config.Config, lookup resolve.LookupFunc) []finding {
	findings := make([]finding, len(cfg.Routes)+len(enclavePaths))
	var all sync.WaitGroup
	places := make(chan struct{}, checksAtOnce)
	try := func(i int, f func() finding) {
		all.Go(func() {
			places <- struct{}{}
			findings[i] = f()
			<-places
		})
	}
	for i, r := range cfg.Routes {
		try(i, func() finding { return checkRoute(ctx, cfg, r, lookup) })
	}
	for i, path := range enclavePaths {
		try(len(cfg.Routes)+i, func() finding { return checkEnclave(ctx, cfg, path) })
	}
	all.Wait()
	return findings
}

// verdict is an error unless all went well.
func verdict(findings []finding) error {
	bad := 0
	for _, f := range findings {
		if f.Result != resultOK {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("check: %d of %d did not go well", bad, len(findings))
	}
	return nil
}

func printJSON(w io.Writer, findings []finding) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(findings)
}

// printTable prints nothing that could drive a terminal: details come from name servers and certificates.
func printTable(w io.Writer, findings []finding) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tTARGET\tADDRESSES\tRESULT\tTIME\tDETAIL")
	for _, f := range findings {
		took := time.Duration(f.Seconds * float64(time.Second)).Round(100 * time.Microsecond)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%v\t%s\n", f.Name, f.Target, orDash(strings.Join(f.Addresses, " ")), f.Result, took,
			orDash(string(lines.AppendPrintable(nil, []byte(f.Detail)))))
	}
	return table.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
