package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
)

func newOperatorImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import-keys DIR|FILE...",
		Short: "Store the keys of EIP-2335 keystores, sealed under the master key",
		Long: `Store the keys of EIP-2335 keystores: of files, and of all *.json of directories, but deposit_data-*.json, which is
skipped. Without --password or --password-file the password of NAME.json is in NAME.password or NAME.txt beside it. Keys
that are stored already stay as they are, so that an import that was stopped goes on with the same command.

The keys sign as soon as they are stored: stop their old signer and import its slashing record first.` + operatorExit,
		Args: usage(cobra.MinimumNArgs(1)),
	}
	flags := newOperatorFlags(cmd, flagAuthToken)
	passwords := newPasswordFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		files, err := findKeystores(args, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		if err := passwords.read(); err != nil {
			return err
		}
		signer, err := flags.dial()
		if err != nil {
			return err
		}
		defer signer.end()
		done, err := signer.importKeys(cmd, files, passwords)
		return errors.Join(done.print(flags), err, done.failed())
	}
	return cmd
}

// imported is what became of keystores.
type imported struct {
	Imported   int            `json:"imported"`
	Duplicates int            `json:"duplicates"`
	Errors     []failedImport `json:"errors"`
}

type failedImport struct {
	File    string `json:"file"`
	Message string `json:"message"`
}

func (i *imported) fail(file, message string) {
	i.Errors = append(i.Errors, failedImport{file, message})
}

func (i *imported) print(flags *operatorFlags) error {
	text, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return flags.show(text, &imported{}, func(row rows) {
		for _, e := range i.Errors {
			row(shown(e.File), "%s", shown(e.Message))
		}
		row("imported", "%d", i.Imported)
		row("stored before", "%d", i.Duplicates)
		row("failed", "%d", len(i.Errors))
	})
}

func (i *imported) failed() error {
	if len(i.Errors) == 0 {
		return nil
	}
	return fmt.Errorf("%d keystores were not imported", len(i.Errors))
}

// importKeys sends keystores in requests of as many as the signer takes. The error is that of a request; what was imported before stays.
func (s *operatorSigner) importKeys(cmd *cobra.Command, files []string, passwords *passwordFlags) (*imported, error) {
	done := &imported{Errors: []failedImport{}}
	bar := newProgress(cmd.ErrOrStderr(), "importing keys", int64(len(files)))
	defer bar.end()
	for batch := range slices.Chunk(files, chamber.MaxKeystores) {
		if err := s.importBatch(cmd, batch, passwords, done); err != nil {
			return done, err
		}
		bar.add(int64(len(batch)))
	}
	return done, nil
}

func (s *operatorSigner) importBatch(cmd *cobra.Command, files []string, passwords *passwordFlags, done *imported) error {
	var sent []string
	var body struct {
		Keystores []string `json:"keystores"`
		Passwords []string `json:"passwords"`
	}
	for _, file := range files {
		text, err := readSmall(file)
		password := ""
		if err == nil {
			password, err = passwords.of(file)
		}
		if err != nil {
			done.fail(file, err.Error())
			continue
		}
		sent, body.Keystores, body.Passwords = append(sent, file), append(body.Keystores, string(text)), append(body.Passwords, password)
	}
	if len(sent) == 0 {
		return nil
	}
	answer, err := s.post(cmd.Context(), chamber.RouteImport, body)
	if err != nil {
		return err
	}
	var results chamber.KeyResults
	if err := json.Unmarshal(answer, &results); err != nil || len(results.Data) != len(sent) {
		return fmt.Errorf("the signer's answer does not fit the %d keystores that were sent", len(sent))
	}
	for i, r := range results.Data {
		switch r.Status {
		case chamber.Imported:
			done.Imported++
		case chamber.Duplicate:
			done.Duplicates++
		default:
			done.fail(sent[i], r.Message)
		}
	}
	return nil
}
