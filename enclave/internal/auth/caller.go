package auth

import (
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// Caller is who sends a request, and what they may do. Only [Policies] makes one that may do anything; the zero Caller may do nothing. Its
// errors are a problem.Unauthenticated for who is not known, a problem.Forbidden for who may not do it, and a problem.Sealed as long as
// nobody can be told from anybody, because the master key is not there.
type Caller struct {
	by      *holder // nil is nobody
	refused error   // why the credential that was sent is none; nil without one
	open    bool    // duties are everybody's
	exits   bool    // as [Options.OpenExits]
	setup   bool    // by the setup token, which is good for what makes a chamber

	policies *Policies // that hear of refusals; nil in the zero Caller
	request  Request
}

// holder is a token or a certificate that is known.
type holder struct {
	label      string // kind, id and name
	management bool   // everything but duties
	rules      []rule
}

// String names the caller for the log.
func (c Caller) String() string {
	switch {
	case c.by != nil:
		return c.by.label
	case c.setup:
		return "setup token"
	case c.refused != nil:
		return "unknown"
	}
	return "nobody"
}

// Refused is why the credential that was sent is not taken; nil if there was none.
func (c Caller) Refused() error { return c.told(c.refused) }

// told has a refusal be seen.
func (c Caller) told(err error) error {
	if p, ok := err.(*problem.Error); ok && c.policies != nil { //nolint:errorlint // ours, as it is made
		c.policies.tell(c, p)
	}
	return err
}

// Grant lets the caller have one kind of thing signed by one key.
func (c Caller) Grant(key bls.PublicKey, kind eth2.Kind) (Grant, error) {
	if kind == 0 {
		return Grant{}, problem.New(problem.Forbidden, "no kind of request named")
	}
	q := question{scope: Sign, key: &key, kind: kind, exits: c.exits}
	if err := c.answer(q); err != nil {
		return Grant{}, c.told(err)
	}
	return Grant{key: key, kind: kind}, nil
}

// May says whether the caller may make a call, for some key at least.
func (c Caller) May(s Scope) error { return c.told(c.answer(question{scope: s, exits: c.exits})) }

// MayFor says whether the caller may make a call for one key.
func (c Caller) MayFor(s Scope, key bls.PublicKey) error {
	return c.told(c.answer(question{scope: s, key: &key, exits: c.exits}))
}

// Knows is May where it is no refusal that the caller may not.
func (c Caller) Knows(s Scope) bool { return c.answer(question{scope: s, exits: c.exits}) == nil }

// Closed is the refusal of who shows nothing where nothing is open, and nil for all others.
func (c Caller) Closed() error {
	if known := c.by != nil || c.setup || c.refused != nil; known || c.open || c.policies == nil {
		return nil // who was refused hears it from Refused
	}
	return c.told(errNobody("a token is needed"))
}

// Sees is MayFor for keys in a list: those that are left out are no refusal.
func (c Caller) Sees(s Scope, key bls.PublicKey) bool {
	return c.answer(question{scope: s, key: &key, exits: c.exits}) == nil
}

// Manages says whether the caller has a management token: who may do everything but duties, and make tokens for those.
func (c Caller) Manages() error { return c.told(c.manages()) }

func (c Caller) manages() error {
	switch {
	case c.refused != nil:
		return c.refused
	case c.by == nil:
		return errNobody("a management token is needed")
	case !c.by.management:
		return problem.New(problem.Forbidden, "%s is no management token", c.by.label)
	}
	return nil
}

// SetsUp says whether the caller has the setup token.
func (c Caller) SetsUp() error { return c.told(c.setsUp()) }

func (c Caller) setsUp() error {
	switch {
	case c.setup:
		return nil
	case c.refused != nil:
		return c.refused
	case c.by != nil:
		return problem.New(problem.Forbidden, "%s is not the setup token", c.by.label)
	}
	return errNobody("the setup token is needed")
}

func errNobody(what string) error {
	return problem.New(problem.Unauthenticated, "%s: send Authorization: Bearer and a token, or Basic with the token as password", what)
}

func (c Caller) answer(q question) error {
	duty := q.scope == Sign || q.scope == PublicKeys
	switch {
	case c.refused != nil:
		return c.refused
	case c.open && duty && !q.must():
		return nil
	case c.by == nil && c.setup:
		return problem.New(problem.Forbidden, "the setup token is good for making a chamber alone")
	case c.by == nil && duty && q.must():
		return errNobody("a token whose policy names " + q.kind.String() + " is needed")
	case c.by == nil:
		return errNobody("a token is needed")
	case c.by.management && duty:
		return problem.New(problem.Forbidden, "%s is a management token, which signs nothing: make a client token", c.by.label)
	case c.by.management || allows(c.by.rules, q):
		return nil
	}
	return c.forbidden(q)
}

func (c Caller) forbidden(q question) error {
	what := string(q.scope)
	if q.scope == Sign {
		what += " of " + q.kind.String()
	}
	if q.key != nil {
		what += " with key " + q.key.String()
	}
	return problem.New(problem.Forbidden, "no policy of %s allows %s", c.by.label, what)
}
