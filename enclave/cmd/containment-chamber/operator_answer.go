package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
)

// rows are what a table shows.
type rows func(name, format string, args ...any)

// show prints a signer's answer, as it is or as a table of what it holds.
func (f *operatorFlags) show(answer []byte, into any, table func(rows)) error {
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("the signer's answer: %w", err)
	}
	if *f.output == "table" {
		return printTable(f.cmd.OutOrStdout(), table)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, bytes.TrimSpace(answer), "", "  "); err != nil {
		return fmt.Errorf("the signer's answer: %w", err)
	}
	_, err := fmt.Fprintln(f.cmd.OutOrStdout(), indented.String())
	return err
}

func printTable(out io.Writer, table func(rows)) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	table(func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) })
	return w.Flush()
}

// printDone is the chamber after a call.
func printDone(row rows, d chamber.Done) {
	row("status", "%s", shown(d.Status))
	if d.Reason != "" {
		row("reason", "%s", shown(d.Reason))
	}
	row("chamber", "%s, version %d", shown(d.ChamberID), d.Version)
	row("slashing store", "%s", shown(d.SlashingStore))
	switch d.Frozen {
	case "keys":
		row("frozen", "%d keys", d.FrozenKeys)
	default:
		row("frozen", "%s", shown(d.Frozen))
	}
}

// expiry is when a token ends, in words.
func expiry(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format(time.RFC3339)
}

// newYesFlag is for commands that ask before they do something that is not undone by the same command.
func newYesFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("yes", false, "do it without asking; needed where standard input is no terminal")
}

// confirm asks a person, unless yes says that somebody has decided.
func confirm(cmd *cobra.Command, yes bool, question string) error {
	if yes {
		return nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !terminal(in) {
		return usageError{errors.New("--yes is needed: standard input is no terminal, so that nobody can be asked")}
	}
	return askYes(in, cmd.ErrOrStderr(), question)
}

// terminal says whether somebody can be at the other end of a file.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull) // a device too, which is what a service is given
	return err != nil || !os.SameFile(info, null)
}

func askYes(in io.Reader, out io.Writer, question string) error {
	fmt.Fprint(out, question, " Type yes to go on: ")
	lines := bufio.NewScanner(in)
	if !lines.Scan() || lines.Text() != "yes" {
		return errors.New("not confirmed: nothing was done")
	}
	return nil
}
