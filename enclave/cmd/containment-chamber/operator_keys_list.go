package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// maxList is the most bytes of a list of keys: 100,000 have 22 MB.
const maxList = 256 << 20

func newOperatorListKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list-keys",
		Short: "List the stored keys that the token may see",
		Long: `List the stored keys that the token may see, one on each line: public key, status, whether the encrypted mnemonic stands
beside it, when it was stored, and why it is of no use, if that is known. Keys that are not loaded, as inactive ones
usually are, are not opened for this. It needs a token with scope chamber_keys_list.` + operatorExit,
		Args: usage(cobra.NoArgs),
	}
	flags := newOperatorFlags(cmd, flagAuthToken)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		signer, err := flags.dial()
		if err != nil {
			return err
		}
		defer signer.end()
		req, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, signer.base.JoinPath(chamber.RouteKeys).String(), http.NoBody)
		if err != nil {
			return err
		}
		out := bufio.NewWriter(cmd.OutOrStdout())
		if err := signer.send(req, func(body io.Reader) error {
			body = io.LimitReader(body, maxList)
			if *flags.output == "json" {
				return copyJSON(out, body)
			}
			return printKeys(out, body)
		}); err != nil {
			return err
		}
		return out.Flush()
	}
	return cmd
}

// copyJSON copies one value, and says if that is not what comes.
func copyJSON(out io.Writer, body io.Reader) error {
	if err := json.NewDecoder(io.TeeReader(body, out)).Decode(&struct{}{}); err != nil {
		return err
	}
	return nil
}

// printKeys prints a list as it comes.
func printKeys(out io.Writer, body io.Reader) error {
	d := json.NewDecoder(body)
	for _, want := range []json.Token{json.Delim('{'), "data", json.Delim('[')} {
		if got, err := d.Token(); err != nil || got != want {
			return errors.Join(fmt.Errorf("want a list of keys, found %v", got), err)
		}
	}
	for d.More() {
		var k chamber.ListedKey
		if err := d.Decode(&k); err != nil {
			return err
		}
		backup, reason := "no backup", ""
		if k.Backup {
			backup = "backup"
		}
		if !k.Usable {
			reason = "  NOT USABLE: " + shown(k.Reason)
		}
		if _, err := fmt.Fprintf(out, "%s  %-8s  %-9s  %s%s\n", shown(k.Pubkey), shown(k.Status), backup, k.Created.UTC().Format(time.RFC3339), reason); err != nil {
			return err
		}
	}
	for range 2 { // the ends of array and object: a list that broke off is no list
		if _, err := d.Token(); err != nil {
			return err
		}
	}
	return nil
}

func newOperatorKeyBackup() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key-backup PUBKEY",
		Short: "Print the encrypted mnemonic of a stored key",
		Long: `Print the encrypted mnemonic that a stored key was made of, as the text of an age file: "age --decrypt" opens it for
whoever has the identity of a recipient. It needs a token with scope chamber_keys_generate for this key.` + operatorExit,
		Args: usage(cobra.ExactArgs(1)),
	}
	flags := newOperatorFlags(cmd, flagAuthToken)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, err := bls.ParsePublicKey(args[0])
		if err != nil {
			return usageError{fmt.Errorf("PUBKEY: %w", err)}
		}
		signer, err := flags.dial()
		if err != nil {
			return err
		}
		defer signer.end()
		answer, err := signer.ask(cmd.Context(), http.MethodGet, chamber.RouteKeys+"/"+key.String()+"/backup", nil)
		if refused, ok := errors.AsType[*refusalError](err); ok && refused.status == http.StatusNotFound {
			return errors.New("no such key is stored, no backup is stored beside it, or this is a signer's health port (status 404)")
		}
		if err != nil {
			return err
		}
		var found chamber.KeyBackup
		if *flags.output == "json" {
			return flags.show(answer, &found, nil)
		}
		if err := json.Unmarshal(answer, &found); err != nil {
			return fmt.Errorf("the signer's answer: %w", err)
		}
		if err := checkAge(found.Backup); err != nil {
			return err
		}
		_, err = io.WriteString(cmd.OutOrStdout(), found.Backup)
		return err
	}
	return cmd
}

// checkAge makes sure that a text looks like an age file, which a terminal shows as it is.
func checkAge(text string) error {
	if !strings.HasPrefix(text, "-----BEGIN AGE ENCRYPTED FILE-----\n") ||
		strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }) {
		return errors.New("the signer's answer: the backup is not the text of an age file")
	}
	return nil
}
