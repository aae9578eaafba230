package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// keyChange is a command that changes stored keys.
type keyChange struct {
	use, short, long string
	method, status   string // of the request; no status is none
	question         string // is asked first; "" asks nothing
}

func newOperatorKeyChanges() (all []*cobra.Command) {
	for _, c := range []keyChange{
		{
			use: "deactivate-keys", short: "Have stored keys sign nothing any more, on every replica", method: http.MethodPatch, status: "inactive",
			long: "Have the stored keys of a file sign nothing any more: on this replica at once, on the others with their next refresh\n" +
				"of keys. They stay stored. A key that signs on here is named, with the reason: nobody else may sign with it yet.",
		},
		{
			use: "activate-keys", short: "Have stored keys sign that were deactivated", method: http.MethodPatch, status: "active",
			long:     "Have the stored keys of a file sign again.",
			question: "The keys sign at once: nobody else may sign with them.",
		},
		{
			use: "delete-keys", short: "Delete stored keys, also damaged ones", method: http.MethodDelete,
			long: "Delete the stored keys of a file, also those that are damaged and so keep a rotation of the master key from its end.\n" +
				"The slashing record stays. A key that signs on here, from a file, is named: nobody else may sign with it yet.",
			question: "Keys of which there is no backup are lost.",
		},
	} {
		all = append(all, newKeyChange(c))
	}
	return all
}

func newKeyChange(c keyChange) *cobra.Command {
	cmd := &cobra.Command{Use: c.use + " --pubkeys FILE", Short: c.short, Long: c.long + operatorExit, Args: usage(cobra.NoArgs)}
	flags := newOperatorFlags(cmd, flagAuthToken)
	file := cmd.Flags().String("pubkeys", "", "`FILE` of public keys, one on each line, # before a comment; - is standard input")
	yes := new(bool)
	if *yes = c.question == ""; !*yes {
		yes = newYesFlag(cmd)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *file == "" {
			return usageError{errors.New("--pubkeys is needed")}
		}
		keys, err := readKeysFile(cmd, *file)
		if err != nil {
			return err
		}
		signer, err := flags.dial()
		if err != nil {
			return err
		}
		defer signer.end()
		if err := confirm(cmd, *yes, c.question); err != nil {
			return err
		}
		changed, err := signer.changeKeys(cmd.Context(), c, keys)
		return errors.Join(changed.print(flags), err, changed.failed())
	}
	return cmd
}

// keysAtOnce is how many keys a request changes: less than signers take, unless they are set to less.
const keysAtOnce = 100

// changedKeys is what became of keys.
type changedKeys struct {
	Done     int                 `json:"done"`
	NotFound []string            `json:"not_found"`
	Errors   []chamber.KeyResult `json:"errors"`
}

// changeKeys sends keys in requests of a few. The error is that of a request; what was changed before stays.
func (s *operatorSigner) changeKeys(ctx context.Context, c keyChange, keys []bls.PublicKey) (*changedKeys, error) {
	all := &changedKeys{NotFound: []string{}, Errors: []chamber.KeyResult{}}
	for batch := range slices.Chunk(keys, keysAtOnce) {
		var body struct {
			Pubkeys []string `json:"pubkeys"`
			Status  string   `json:"status,omitempty"`
		}
		body.Status = c.status
		for _, key := range batch {
			body.Pubkeys = append(body.Pubkeys, key.String())
		}
		answer, err := s.ask(ctx, c.method, chamber.RouteKeys, body)
		if err != nil {
			return all, err
		}
		var results chamber.KeyResults
		if err := json.Unmarshal(answer, &results); err != nil || len(results.Data) != len(batch) {
			return all, fmt.Errorf("the signer's answer does not fit the %d keys that were sent", len(batch))
		}
		for i, r := range results.Data {
			r.Pubkey = body.Pubkeys[i]
			switch r.Status {
			case chamber.Failed:
				all.Errors = append(all.Errors, r)
			case chamber.NotFound:
				all.NotFound = append(all.NotFound, r.Pubkey)
			default:
				all.Done++
			}
		}
	}
	return all, nil
}

func (c *changedKeys) print(flags *operatorFlags) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return flags.show(text, &changedKeys{}, func(row rows) {
		for _, key := range c.NotFound {
			row(key, "is not stored")
		}
		for _, e := range c.Errors {
			row(e.Pubkey, "%s", shown(e.Message))
		}
		row("done", "%d", c.Done)
		row("not stored", "%d", len(c.NotFound))
		row("failed", "%d", len(c.Errors))
	})
}

func (c *changedKeys) failed() error {
	if len(c.Errors)+len(c.NotFound) == 0 {
		return nil
	}
	return fmt.Errorf("%d keys were not changed, or do not sign here as they are stored now", len(c.Errors)+len(c.NotFound))
}
