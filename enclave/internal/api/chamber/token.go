package chamber

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// bearer is the token of a request.
func bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", problem.New(problem.Unauthenticated, "want one header Authorization: Bearer and a token")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", problem.New(problem.Unauthenticated, "want header Authorization: Bearer and a token")
	}
	return token, nil
}

// root lets requests with a root token through. The body has not been read before.
func (a *API) root(c call) call {
	return func(w http.ResponseWriter, r *http.Request, e *event) (any, error) {
		token, err := bearer(r)
		if err != nil {
			return nil, err
		}
		if e.token, err = a.o.Chamber.CheckRootToken(token); err != nil {
			return nil, refused(err)
		}
		return c(w, r, e)
	}
}

// setup lets requests with the setup token through, as long as there is no chamber.
func (a *API) setup(c call) call {
	return func(w http.ResponseWriter, r *http.Request, e *event) (any, error) {
		token, err := bearer(r)
		if err != nil {
			return nil, err
		}
		if err := a.o.Chamber.CheckSetupToken(token); err != nil {
			return nil, problem.Wrap(problem.Unauthenticated, fmt.Errorf("setup token: %w", err), err.Error())
		}
		return c(w, r, e)
	}
}
