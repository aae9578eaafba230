// Package auth decides whether a caller may have one kind of thing signed by one key.
package auth

import (
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// Grant says that the caller may have one kind of request signed by one key. Only Policies makes one that
// grants anything; the zero Grant grants nothing.
type Grant struct {
	key  bls.PublicKey
	kind eth2.Kind // zero in the zero Grant, and no kind of any request
}

// Key is the one key that was granted. It means nothing unless Allows has agreed.
func (g Grant) Key() bls.PublicKey { return g.key }

// Allows returns nil if the grant is for this key and this kind, and else a problem.Forbidden.
func (g Grant) Allows(key bls.PublicKey, kind eth2.Kind) error {
	switch {
	case g.kind == 0 || kind == 0:
		return problem.New(problem.Forbidden, "nothing was granted")
	case g.key != key:
		return problem.New(problem.Forbidden, "granted for another key than %s", key)
	case g.kind != kind:
		return problem.New(problem.Forbidden, "granted for another kind of request")
	}
	return nil
}

// Policies says who may do what. The zero Policies refuses everyone. It is safe for concurrent use.
type Policies struct {
	open bool
}

// Open makes policies that let every caller sign everything, whatever the credential. Whoever can reach the
// listener can then sign with every key.
func Open() *Policies { return &Policies{open: true} }

// Grant returns what the holder of credential, the bearer token or "" if the caller sent none, may do with key.
// The error is a problem.Unauthenticated or a problem.Forbidden, and the Grant then grants nothing.
func (p *Policies) Grant(credential string, key bls.PublicKey, kind eth2.Kind) (Grant, error) {
	switch {
	case kind == 0:
		return Grant{}, problem.New(problem.Forbidden, "no kind of request named")
	case p.open:
		return Grant{key: key, kind: kind}, nil
	case credential == "":
		return Grant{}, problem.New(problem.Unauthenticated, "a bearer token is needed")
	}
	return Grant{}, problem.New(problem.Unauthenticated, "the bearer token is not known")
}
