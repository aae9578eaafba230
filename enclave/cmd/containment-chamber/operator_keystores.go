package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// depositData are the files that the tools that make keystores put beside them (staking-deposit-cli).
const depositData = "deposit_data-*.json"

// findKeystores lists the files that arguments name, and all *.json of directories among them, in order. Deposit data is not among them,
// which notes tell.
func findKeystores(args []string, notes io.Writer) (files []string, err error) {
	add := func(file string) {
		if deposits, err := filepath.Match(depositData, filepath.Base(file)); err == nil && deposits {
			fmt.Fprintf(notes, "skipped: %s is deposit data by its name, and no keystore\n", shown(file))
			return
		}
		files = append(files, file)
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, usageError{err}
		}
		if !info.IsDir() {
			add(arg)
			continue
		}
		entries, err := os.ReadDir(arg)
		if err != nil {
			return nil, usageError{err}
		}
		for _, e := range entries {
			if !e.IsDir() && strings.HasSuffix(e.Name(), ".json") {
				add(filepath.Join(arg, e.Name()))
			}
		}
	}
	if len(files) == 0 {
		return nil, usageError{errors.New("there is no *.json there that is a keystore")}
	}
	return files, nil
}

// passwordFlags say what opens keystores.
type passwordFlags struct {
	cmd        *cobra.Command
	text, path *string
	one        []byte // of all keystores
	given      bool
}

func newPasswordFlags(cmd *cobra.Command) *passwordFlags {
	return &passwordFlags{
		cmd:  cmd,
		text: cmd.Flags().String("password", "", "password of all keystores: `env:VARIABLE`; as text it shows in the list of processes"),
		path: cmd.Flags().String("password-file", "", "`FILE` of the password of all keystores"),
	}
}

// read reads the one password, if there is one for all.
func (f *passwordFlags) read() error {
	switch {
	case *f.text != "" && *f.path != "":
		return usageError{errors.New("--password goes without --password-file")}
	case *f.path != "":
		text, err := readSmall(*f.path)
		if err != nil {
			return usageError{fmt.Errorf("--password-file: %w", err)}
		}
		f.one, f.given = text, true
	case *f.text != "":
		text := *f.text
		if name, ok := strings.CutPrefix(text, "env:"); ok {
			if text, ok = os.LookupEnv(name); !ok {
				return usageError{fmt.Errorf("--password: environment variable %s is not set", name)}
			}
		}
		f.one, f.given = []byte(text), true
	}
	return refuseEmpty(f.cmd.Flags(), "password", "password-file")
}

// of is the password of a keystore, for the caller to clear. EIP-2335 leaves the newline at a file's end out, as all control characters.
func (f *passwordFlags) of(keystore string) ([]byte, error) {
	if f.given {
		return bytes.Clone(f.one), nil
	}
	name := strings.TrimSuffix(keystore, filepath.Ext(keystore))
	for _, suffix := range []string{".password", ".txt"} {
		text, err := readSmall(name + suffix)
		if !errors.Is(err, fs.ErrNotExist) {
			return text, err
		}
	}
	return nil, fmt.Errorf("there is no password: neither %s.password nor %[1]s.txt, and no --password-file", filepath.Base(name))
}

// readKeysFile reads public keys from the file that --pubkeys names. One that names none is an error: without keys all are meant.
func readKeysFile(cmd *cobra.Command, path string) ([]bls.PublicKey, error) {
	r := cmd.InOrStdin()
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, usageError{fmt.Errorf("--pubkeys: %w", err)}
		}
		defer file.Close() //nolint:errcheck // it was only read
		r = file
	}
	var keys keySet
	if err := keys.addLines(r); err != nil {
		return nil, usageError{fmt.Errorf("--pubkeys %s: %w", path, err)}
	}
	return keys.list, nil
}
