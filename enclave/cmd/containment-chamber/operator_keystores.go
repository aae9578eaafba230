package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// findKeystores lists the files that arguments name, and all *.json of directories among them, in order.
func findKeystores(args []string) (files []string, err error) {
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, usageError{err}
		}
		if !info.IsDir() {
			files = append(files, arg)
			continue
		}
		entries, err := os.ReadDir(arg)
		if err != nil {
			return nil, usageError{err}
		}
		for _, e := range entries {
			if !e.IsDir() && strings.HasSuffix(e.Name(), ".json") {
				files = append(files, filepath.Join(arg, e.Name()))
			}
		}
	}
	if len(files) == 0 {
		return nil, usageError{errors.New("there is no *.json there")}
	}
	return files, nil
}

// passwordFlags say what opens keystores.
type passwordFlags struct {
	cmd        *cobra.Command
	text, path *string
	one        string // of all keystores
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
		f.one, f.given = string(text), true
	case *f.text != "":
		f.one, f.given = *f.text, true
		if name, ok := strings.CutPrefix(*f.text, "env:"); ok {
			if f.one, ok = os.LookupEnv(name); !ok {
				return usageError{fmt.Errorf("--password: environment variable %s is not set", name)}
			}
		}
	}
	return refuseEmpty(f.cmd.Flags(), "password", "password-file")
}

// of is the password of a keystore. EIP-2335 leaves the newline at a file's end out, as all control characters.
func (f *passwordFlags) of(keystore string) (string, error) {
	if f.given {
		return f.one, nil
	}
	name := strings.TrimSuffix(keystore, filepath.Ext(keystore))
	for _, suffix := range []string{".password", ".txt"} {
		text, err := readSmall(name + suffix)
		if !errors.Is(err, fs.ErrNotExist) {
			return string(text), err
		}
	}
	return "", fmt.Errorf("there is no password: neither %s.password nor %[1]s.txt, and no --password-file", filepath.Base(name))
}

// readKeysFile reads public keys from the file that a flag names. One that names none is an error: without keys all are meant.
func readKeysFile(cmd *cobra.Command, flag, path string) ([]bls.PublicKey, error) {
	r := cmd.InOrStdin()
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, usageError{fmt.Errorf("%s: %w", flag, err)}
		}
		defer file.Close() //nolint:errcheck // it was only read
		r = file
	}
	var keys keySet
	if err := keys.addLines(r); err != nil {
		return nil, usageError{fmt.Errorf("%s %s: %w", flag, path, err)}
	}
	return keys.list, nil
}
