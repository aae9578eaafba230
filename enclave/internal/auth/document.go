package auth

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

const (
	// MaxDocument is the most bytes of all policies and tokens together.
	MaxDocument = 4 << 20
	// MaxTokens is how many client tokens there may be.
	MaxTokens = 1000

	documentFormat = 1
	macSize        = 32
)

// document is all policies and client tokens, as they are kept: JSON as encoding/json writes these fields, byte for byte.
type document struct {
	Format       int           `json:"format"`
	Policies     []Policy      `json:"policies"`     // in order of their names
	Tokens       []clientToken `json:"tokens"`       // in order of their ids
	Certificates []certificate `json:"certificates"` // the same
}

// clientToken is a token without its secret.
type clientToken struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Policies []string `json:"policies"`
	HMAC     []byte   `json:"hmac"`
	Created  int64    `json:"created"` // seconds since 1970
	Expires  int64    `json:"expires"` // the same; 0 for never
	// Before is the secret before this one, as long as both are good.
	Before      []byte `json:"before"`
	BeforeUntil int64  `json:"before_until"`
}

var clientIDs = regexp.MustCompile(`^[0-9a-f]{16}$`)

// parseDocument reads what render has written; nothing at all is a document without policies.
func parseDocument(text []byte) (*document, error) {
	d := &document{Format: documentFormat}
	if len(text) == 0 {
		return d, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(d); err != nil {
		return nil, fmt.Errorf("policies and tokens: %w", err)
	}
	if d.Format != documentFormat {
		return nil, fmt.Errorf("policies and tokens: format %d, this release reads %d", d.Format, documentFormat)
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("policies and tokens: %w", err)
	}
	return d, nil
}

func (d *document) render() ([]byte, error) {
	slices.SortFunc(d.Policies, func(a, b Policy) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(d.Tokens, func(a, b clientToken) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(d.Certificates, func(a, b certificate) int { return cmp.Compare(a.ID, b.ID) })
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	text, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	if len(text) > MaxDocument {
		return nil, fmt.Errorf("%w: policies and tokens have %d bytes together, more than %d", ErrInvalid, len(text), MaxDocument)
	}
	return text, nil
}

// check holds a document against what every part of it must be.
func (d *document) check() error {
	if len(d.Policies) > MaxPolicies || len(d.Tokens) > MaxTokens || len(d.Certificates) > MaxTokens {
		return fmt.Errorf("%d policies, %d tokens and %d certificates, more than %d, %d and %d",
			len(d.Policies), len(d.Tokens), len(d.Certificates), MaxPolicies, MaxTokens, MaxTokens)
	}
	_, err := d.compile()
	if err != nil {
		return err
	}
	ids := map[string]bool{}
	for _, t := range d.Tokens {
		switch {
		case !clientIDs.MatchString(t.ID) || ids[t.ID]:
			return fmt.Errorf("token %.20q: the id is wrong, or there twice", t.ID)
		case len(t.HMAC) != macSize || len(t.Before) != 0 && len(t.Before) != macSize || t.Created < 0 || t.Expires < 0:
			return fmt.Errorf("token %s is damaged", t.ID)
		}
		ids[t.ID] = true
	}
	return nil
}

// compiled is a document that can be asked.
type compiled struct {
	tokens       map[string]kept // by id
	certificates []keptCertificate
}

// kept is a client token, ready to be asked.
type kept struct {
	clientToken
	holder *holder
}

func (d *document) compile() (*compiled, error) {
	policies := map[string][]rule{}
	keys := 0
	for _, p := range d.Policies {
		if policies[p.Name] != nil {
			return nil, fmt.Errorf("policy %s is there twice", p.Name)
		}
		rules, err := p.compile()
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			keys += len(r.keys)
		}
		policies[p.Name] = rules
	}
	if keys > MaxKeysOfRules {
		return nil, fmt.Errorf("the policies name %d keys, more than %d", keys, MaxKeysOfRules)
	}
	out := &compiled{tokens: map[string]kept{}}
	for _, t := range d.Tokens {
		rules, err := join(policies, t.Policies)
		if err != nil {
			return nil, fmt.Errorf("token %s: %w", t.ID, err)
		}
		if err := checkName(t.Name); err != nil {
			return nil, fmt.Errorf("token %s: %w", t.ID, err)
		}
		out.tokens[t.ID] = kept{t, &holder{label: "token " + t.ID + " (" + t.Name + ")", rules: rules}}
	}
	for _, c := range d.Certificates {
		k, err := c.compile(policies)
		if err != nil {
			return nil, err
		}
		out.certificates = append(out.certificates, k)
	}
	return out, nil
}

// join is all rules of policies.
func join(policies map[string][]rule, list []string) (out []rule, err error) {
	if len(list) == 0 || len(list) > maxPoliciesEach {
		return nil, fmt.Errorf("policies: has %d names, want 1 to %d", len(list), maxPoliciesEach)
	}
	for i, name := range list {
		rules := policies[name]
		switch {
		case rules == nil:
			return nil, fmt.Errorf("policies[%d]: there is no policy %.80q", i, name)
		case slices.Contains(list[:i], name):
			return nil, fmt.Errorf("policies[%d]: %s is given twice", i, name)
		}
		out = append(out, rules...)
	}
	return out, nil
}

func expired(at int64, now time.Time) bool { return at != 0 && now.Unix() >= at }

var errSPKI = errors.New("spki_sha256: want 64 hexadecimal digits")

func parseSPKI(text string) ([32]byte, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 32 {
		return [32]byte{}, errSPKI
	}
	return [32]byte(b), nil
}
