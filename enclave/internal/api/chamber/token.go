package chamber

import (
	"errors"
	"net/http"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// allowed lets requests through whose caller passes a check. The body has not been read before.
func allowed(check func(auth.Caller) error, c call) call {
	return func(w http.ResponseWriter, r *http.Request, e *event) (any, error) {
		if err := check(api.Caller(r)); err != nil {
			return nil, err
		}
		return c(w, r, e)
	}
}

// managed lets management tokens through.
func managed(c call) call { return allowed(auth.Caller.Manages, c) }

// scoped lets callers through who may make calls of a scope.
func scoped(s auth.Scope, c call) call {
	return allowed(func(caller auth.Caller) error { return caller.May(s) }, c)
}

// setup lets the setup token through, as long as there is no chamber.
func setup(c call) call { return allowed(auth.Caller.SetsUp, c) }

// bearer is the token of a request that unseals: nobody can check it before.
func bearer(r *http.Request) (string, error) {
	c := api.CredentialOf(r)
	if c.Fault == nil && c.Token == "" {
		c.Fault = errors.New("want Authorization: Bearer and a token")
	}
	if c.Fault != nil {
		return "", problem.New(problem.Unauthenticated, "%v", c.Fault)
	}
	return c.Token, nil
}
