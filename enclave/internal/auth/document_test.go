package auth

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestDocumentLimits(t *testing.T) {
	whole := func() *document {
		d := &document{Format: documentFormat, Policies: []Policy{{Name: "p", Rules: []Rule{{Effect: Allow}}}}}
		for i := range MaxTokens {
			d.Tokens = append(d.Tokens, clientToken{ID: fmt.Sprintf("%016x", i), Name: "t", Policies: []string{"p"}, HMAC: make([]byte, macSize)})
		}
		return d
	}
	text, err := whole().render()
	if err != nil {
		t.Fatal(err)
	}
	again, err := parseDocument(text)
	if err != nil || len(again.Tokens) != MaxTokens {
		t.Fatalf("read again: %v", err)
	}
	for what, change := range map[string]func(d *document){
		"a token too many": func(d *document) {
			d.Tokens = append(d.Tokens, clientToken{ID: strings.Repeat("f", 16), Name: "t", Policies: []string{"p"}, HMAC: make([]byte, macSize)})
		},
		"an id twice":  func(d *document) { d.Tokens[1].ID = d.Tokens[0].ID },
		"another id":   func(d *document) { d.Tokens[1].ID = "x" },
		"a short HMAC": func(d *document) { d.Tokens[1].HMAC = nil },
		"a policy too many": func(d *document) {
			for i := range MaxPolicies {
				d.Policies = append(d.Policies, Policy{Name: fmt.Sprint(i), Rules: d.Policies[0].Rules})
			}
		},
		"a policy twice": func(d *document) { d.Policies = append(d.Policies, d.Policies[0]) },
		"too many keys": func(d *document) {
			keys := make([]string, MaxKeysOfRules+1)
			for i := range keys {
				keys[i] = fmt.Sprintf("%096x", i)
			}
			d.Policies[0].Rules[0].Keys = keys
		},
		"too large": func(d *document) {
			for i := range d.Tokens {
				d.Tokens[i].Policies = []string{"p"}
				d.Tokens[i].HMAC = make([]byte, macSize)
			}
			for i := range MaxPolicies - 1 {
				keys := make([]string, 60)
				for k := range keys {
					keys[k] = fmt.Sprintf("%096x", k)
				}
				d.Policies = append(d.Policies, Policy{Name: fmt.Sprint(i), Rules: []Rule{{Effect: Allow, Keys: keys}}})
			}
		},
	} {
		d := whole()
		change(d)
		if _, err := d.render(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, text := range map[string]string{
		"another format": `{"format":2}`, "a field more": `{"format":1,"x":1}`, "no JSON": "x",
	} {
		if _, err := parseDocument([]byte(text)); err == nil {
			t.Errorf("%s is read", what)
		}
	}
}
