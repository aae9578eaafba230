package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// compared is what a comparison found.
type compared struct {
	Old     string `json:"old,omitempty"` // URL
	Signer  string `json:"signer"`        // URL
	Network string `json:"network"`
	Slot    uint64 `json:"slot"` // that was signed

	KeysOld  int `json:"keys_old"`
	KeysNew  int `json:"keys_new"`
	Compared int `json:"compared"` // earlier ones included
	Earlier  int `json:"earlier"`  // passed before, by the file of --resume
	Passed   int `json:"passed"`   // now

	OnlyNew  []string      `json:"only_new"`   // not looked for with --pubkeys
	OnlyOld  []string      `json:"only_old"`   // to be compared, and not on the new signer
	NotOnOld []string      `json:"not_on_old"` // named by --pubkeys, and not on the old signer
	Failed   []comparedKey `json:"failed"`
}

// add takes in what became of a key.
func (c *compared) add(r comparedKey, j *journal) error {
	if r.Result != keyPassed {
		c.Failed = append(c.Failed, r)
		return nil
	}
	c.Passed++
	return j.add(r.key)
}

// verdict is an error unless every key passed.
func (c *compared) verdict() error {
	if n := len(c.OnlyOld) + len(c.NotOnOld) + len(c.Failed); n > 0 {
		return fmt.Errorf("%d keys do not sign here as they should", n)
	}
	return nil
}

func (c *compared) print(out io.Writer, form string) error {
	if form == "json" {
		text, err := json.MarshalIndent(c, "", "  ")
		if err == nil {
			_, err = fmt.Fprintln(out, string(text))
		}
		return err
	}
	return errors.Join(printTable(out, c.keys), printTable(out, c.totals))
}

// keys are those that need somebody's attention.
func (c *compared) keys(row rows) {
	for _, key := range c.OnlyNew {
		row(key, "only on the new signer")
	}
	for _, key := range c.OnlyOld {
		row(key, "NOT ON THE NEW SIGNER")
	}
	for _, key := range c.NotOnOld {
		row(key, "NOT ON THE OLD SIGNER")
	}
	for _, r := range c.Failed {
		row(r.Pubkey, "%s", r.words())
	}
}

func (c *compared) totals(row rows) {
	if c.Old != "" {
		row("old signer", "%d keys, %s", c.KeysOld, shown(c.Old))
	}
	row("signer", "%d keys, %s", c.KeysNew, shown(c.Signer))
	row("network", "%s, slot %d", c.Network, c.Slot)
	row("passed", "%d, and %d earlier", c.Passed, c.Earlier)
	row("failed", "%d", len(c.Failed))
	row("missing", "%d", len(c.OnlyOld)+len(c.NotOnOld))
	if c.Old != "" {
		row("only on the new signer", "%d", len(c.OnlyNew))
	}
}

// words are what failed, in one line.
func (r *comparedKey) words() string {
	said := []string{strings.ToUpper(strings.ReplaceAll(r.Result, "_", " "))}
	add := func(name string, a *signerAnswer) {
		switch {
		case a == nil:
		case a.Message == "":
			said = append(said, name+" signer: it signed")
		case a.Status == 0:
			said = append(said, fmt.Sprintf("%s signer: no answer: %s", name, shown(a.Message)))
		default:
			said = append(said, fmt.Sprintf("%s signer: status %d: %s", name, a.Status, shown(a.Message)))
		}
	}
	add("old", r.Old)
	add("new", r.New)
	return strings.Join(said, "; ")
}
