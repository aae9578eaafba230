package auth

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// What policies may have.
const (
	MaxPolicies     = 1000
	MaxRules        = 100     // of a policy
	MaxKeysOfRules  = 100_000 // of all rules of all policies together
	maxName         = 64      // bytes
	maxPoliciesEach = 32      // of a token
)

// Effect is what a rule does.
type Effect string

// The effects. Where both fit, deny wins; where none fits, nothing is allowed.
const (
	Allow Effect = "allow"
	Deny  Effect = "deny"
)

// Policy is rules under a name.
type Policy struct {
	Name  string `json:"name"`
	Rules []Rule `json:"rules"`
}

// Rule allows or denies. What a list does not name it leaves open: a rule without keys is about all keys there are and will be. A rule that
// allows without scopes is about duties alone, [Sign] and [PublicKeys]; one that allows without operations is about all but voluntary exits and
// deposits, which a rule has to name.
type Rule struct {
	Effect     Effect   `json:"effect"`
	Scopes     []Scope  `json:"scopes,omitempty"`
	Keys       []string `json:"keys,omitempty"`       // public keys, 96 hexadecimal digits with or without 0x
	Operations []string `json:"operations,omitempty"` // signing types such as VOLUNTARY_EXIT; about Sign alone
}

var names = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func checkName(name string) error {
	if len(name) > maxName || !names.MatchString(name) {
		return fmt.Errorf("name %.80q: want 1 to %d of A-Z, a-z, 0-9, '.', '_' and '-', and a letter or digit first", name, maxName)
	}
	return nil
}

// Check returns nil for a policy that can be kept. Its error names what is wrong.
func (p Policy) Check() error {
	_, err := p.compile()
	return err
}

func (p Policy) compile() ([]rule, error) {
	if err := checkName(p.Name); err != nil {
		return nil, err
	}
	if len(p.Rules) == 0 || len(p.Rules) > MaxRules {
		return nil, fmt.Errorf("policy %s: has %d rules, want 1 to %d", p.Name, len(p.Rules), MaxRules)
	}
	out := make([]rule, len(p.Rules))
	for i, r := range p.Rules {
		var err error
		if out[i], err = r.compile(); err != nil {
			return nil, fmt.Errorf("policy %s: rules[%d]: %w", p.Name, i, err)
		}
	}
	return out, nil
}

// rule is a Rule that can be asked.
type rule struct {
	deny       bool
	scopes     map[Scope]bool         // nil is as Rule says
	keys       map[bls.PublicKey]bool // nil is all
	operations map[eth2.Kind]bool     // the same
}

func (r Rule) compile() (out rule, err error) {
	switch r.Effect {
	case Allow:
	case Deny:
		out.deny = true
	default:
		return rule{}, fmt.Errorf("effect: %.20q, want allow or deny", string(r.Effect))
	}
	if out.scopes, err = members("scopes", r.Scopes, func(s Scope) (Scope, error) { return s, s.check() }); err != nil {
		return rule{}, err
	}
	if out.keys, err = members("keys", r.Keys, bls.ParsePublicKey); err != nil {
		return rule{}, err
	}
	if out.operations, err = members("operations", r.Operations, parseOperation); err != nil {
		return rule{}, err
	}
	for i, s := range r.Scopes {
		switch {
		case len(r.Operations) > 0 && !slices.Contains(duties, s):
			return rule{}, fmt.Errorf("scopes[%d]: operations are about sign alone, and %s has none: make a rule of its own", i, s)
		case len(r.Keys) > 0 && !slices.Contains(ofKeys, s):
			return rule{}, fmt.Errorf("scopes[%d]: keys say nothing of %s, which is about all: make a rule of its own", i, s)
		}
	}
	return out, nil
}

func parseOperation(name string) (eth2.Kind, error) {
	kind, ok := eth2.ParseKind(name)
	if !ok {
		return 0, fmt.Errorf("%.40q is not a known signing type", name)
	}
	return kind, nil
}

// members makes a set of a list. A list that is there and empty is refused: it reads like none of them, and would mean all.
func members[T any, E comparable](field string, list []T, parse func(T) (E, error)) (map[E]bool, error) {
	if list == nil {
		return nil, nil //nolint:nilnil // no set is one of the answers
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: is empty; left out it stands for all", field)
	}
	set := make(map[E]bool, len(list))
	for i, text := range list {
		e, err := parse(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s[%d]: %w", field, i, err)
		case set[e]:
			return nil, fmt.Errorf("%s[%d]: %v is given twice", field, i, text)
		}
		set[e] = true
	}
	return set, nil
}

// question is what a rule is asked about.
type question struct {
	scope Scope
	key   *bls.PublicKey // nil asks for some key at least
	kind  eth2.Kind      // of Sign; zero with other scopes
	// exits says that exits and deposits are as all other operations.
	exits bool
}

// must says that a rule has to name the operation.
func (q question) must() bool {
	return !q.exits && (q.kind == eth2.VoluntaryExit || q.kind == eth2.Deposit)
}

// fits says whether a rule is about what is asked.
func (r rule) fits(q question) bool {
	switch {
	case r.keys != nil && q.key != nil && !r.keys[*q.key]:
		return false
	case r.deny && r.keys != nil && q.key == nil: // some other key may be left
		return false
	case r.operations != nil && !r.operations[q.kind]:
		return !r.deny && q.scope == PublicKeys && r.has(Sign)
	case r.deny && q.scope == PublicKeys && r.operations == nil && r.has(Sign): // what nobody may sign with is not listed
		return true
	case r.operations == nil && !r.deny && q.must():
		return false
	}
	return r.has(q.scope) || !r.deny && q.scope == PublicKeys && r.has(Sign)
}

func (r rule) has(s Scope) bool {
	if r.scopes != nil {
		return r.scopes[s]
	}
	return r.deny || slices.Contains(duties, s)
}

// allows says whether rules allow what is asked.
func allows(rules []rule, q question) bool {
	allowed := false
	for _, r := range rules {
		if !r.fits(q) {
			continue
		}
		if r.deny {
			return false
		}
		allowed = true
	}
	return allowed
}
