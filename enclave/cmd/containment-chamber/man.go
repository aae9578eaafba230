package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// newManCommand makes "man".
func newManCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "man DIR",
		Short: "Write manual pages, one for each command",
		Long: `Write manual pages into a directory, one for each command. man finds them in the directory man1 of one in its path:

  containment-chamber man /usr/local/share/man/man1
  man containment-chamber-operator

Their date is SOURCE_DATE_EPOCH, in seconds since 1970, or today.`,
		Args: usage(cobra.ExactArgs(1)),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		date, err := manDate()
		if err != nil {
			return err
		}
		if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // G301: everybody reads manuals
			return err
		}
		return writeManuals(args[0], cmd.Root(), date)
	}
	return cmd
}

// manDate is the date of the pages, which builds that are to be the same set (https://reproducible-builds.org/specs/source-date-epoch/).
func manDate() (string, error) {
	when := time.Now()
	if text, ok := os.LookupEnv("SOURCE_DATE_EPOCH"); ok {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return "", usageError{errors.New("SOURCE_DATE_EPOCH: want seconds since 1970")}
		}
		when = time.Unix(seconds, 0)
	}
	return when.UTC().Format(time.DateOnly), nil
}

// writeManuals writes the page of a command and of all below it.
func writeManuals(dir string, cmd *cobra.Command, date string) error {
	page := manPage(cmd, date)
	if err := os.WriteFile(filepath.Join(dir, manName(cmd)+".1"), []byte(page), 0o644); err != nil { //nolint:gosec // G306: as above
		return err
	}
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() {
			if err := writeManuals(dir, below, date); err != nil {
				return err
			}
		}
	}
	return nil
}

func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }
