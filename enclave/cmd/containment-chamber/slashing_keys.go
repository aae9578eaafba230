package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// keyFlags name public keys, one by one and by a file of them.
type keyFlags struct {
	cmd  *cobra.Command
	keys *[]string
	file *string
}

// newKeyFlags gives cmd those flags; key says of --key what it does.
func newKeyFlags(cmd *cobra.Command, key string) keyFlags {
	return keyFlags{
		cmd:  cmd,
		keys: cmd.Flags().StringArray("key", nil, key),
		file: cmd.Flags().String("keys-file", "", "`FILE` of such keys, one on each line, # before a comment; - is standard input"),
	}
}

// given says that keys are named, be it by a file without any.
func (f keyFlags) given() bool { return len(*f.keys) > 0 || f.fileGiven() }

// fileGiven is true for an empty name too: a variable that is not set must not stand for all keys.
func (f keyFlags) fileGiven() bool { return f.cmd.Flags().Changed("keys-file") }

// read returns each key that is named, once; nil if the flags are not given. A file that names none is an error: without keys a
// command may be meant for all of them.
func (f keyFlags) read(cmd *cobra.Command) ([]bls.PublicKey, error) {
	var keys keySet
	for _, text := range *f.keys {
		if err := keys.add(text); err != nil {
			return nil, usageError{fmt.Errorf("--key %q: %w", text, err)}
		}
	}
	if !f.fileGiven() {
		return keys.list, nil
	}
	r := cmd.InOrStdin()
	if *f.file != "-" {
		opened, err := os.Open(*f.file)
		if err != nil {
			return nil, usageError{fmt.Errorf("--keys-file: %w", err)}
		}
		defer opened.Close() //nolint:errcheck // it was only read
		r = opened
	}
	if err := keys.addLines(r); err != nil {
		return nil, usageError{fmt.Errorf("--keys-file %s: %w", *f.file, err)}
	}
	return keys.list, nil
}

// keySet has keys in the order in which they were added first.
type keySet struct {
	list []bls.PublicKey
	seen map[bls.PublicKey]bool
}

func (s *keySet) add(text string) error {
	key, err := bls.ParsePublicKey(text)
	if err != nil || s.seen[key] {
		return err
	}
	if s.seen == nil {
		s.seen = make(map[bls.PublicKey]bool)
	}
	s.seen[key] = true
	s.list = append(s.list, key)
	return nil
}

func (s *keySet) addLines(r io.Reader) error {
	lines, some := bufio.NewScanner(r), false
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if err := s.add(text); err != nil {
			return fmt.Errorf("line %d: %q: %w", n, text, err)
		}
		some = true
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if !some {
		return errors.New("it names no key")
	}
	return nil
}
