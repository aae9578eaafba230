// Package auth decides who may do what: it turns a token, or a client's certificate, into a caller with rights.
package auth

import (
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// Grant says that the caller may have one kind of request signed by one key. Only a [Caller] makes one that
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
