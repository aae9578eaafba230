package chamber

import (
	"net/http"
	"regexp"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// Policies is the answer of the list of policies.
type Policies struct {
	Data []auth.Policy `json:"data"`
}

// Tokens is the answer of the list of client tokens and certificates.
type Tokens struct {
	Data []auth.Token `json:"data"`
}

// ClientToken is a client token that was just made or rotated, or a certificate, which has no secret.
type ClientToken struct {
	auth.Token
	Secret string `json:"token,omitempty"` // not to be had again
}

// Changed is the answer of what changes policies and tokens and has nothing more to tell.
type Changed struct {
	Changed string `json:"changed"`
}

const wantFilled = "a string that is not empty"

const wantNames = "an array of names of policies"

func (a *API) policies(_ http.ResponseWriter, r *http.Request, _ *event) (any, error) {
	if err := none(r); err != nil {
		return nil, err
	}
	all, err := a.o.Policies.Policies()
	if err != nil {
		return nil, refused(err)
	}
	if all == nil {
		all = []auth.Policy{}
	}
	return Policies{all}, nil
}

func (a *API) putPolicy(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	p := auth.Policy{Name: r.PathValue("name")}
	if err := decode(r, map[string]field{"rules": {&p.Rules, "an array of rules", true}}); err != nil {
		return nil, err
	}
	e.fields = []zap.Field{zap.String("policy", p.Name), zap.Int("rules", len(p.Rules))}
	if err := a.o.Policies.PutPolicy(r.Context(), p); err != nil {
		return nil, refused(err)
	}
	return p, nil
}

func (a *API) deletePolicy(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	name := r.PathValue("name")
	if err := decode(r, nil); err != nil {
		return nil, err
	}
	e.fields = []zap.Field{zap.String("policy", name)}
	if err := a.o.Policies.DeletePolicy(r.Context(), name); err != nil {
		return nil, refused(err)
	}
	return Changed{"policy " + name + " deleted"}, nil
}

func (a *API) tokens(_ http.ResponseWriter, r *http.Request, _ *event) (any, error) {
	if err := none(r); err != nil {
		return nil, err
	}
	all, err := a.o.Policies.Tokens()
	if err != nil {
		return nil, refused(err)
	}
	if all == nil {
		all = []auth.Token{}
	}
	return Tokens{all}, nil
}

// maxSeconds is the longest lifetime of a token; none at all is longer.
const maxSeconds = int64(maxLifetime / time.Second)

// seconds checks a number of seconds.
func seconds(name string, n int64) (time.Duration, error) {
	if n < 0 || n > maxSeconds {
		return 0, problem.New(problem.Malformed, "%s: %d, want 0 to %d", name, n, maxSeconds)
	}
	return time.Duration(n) * time.Second, nil
}

func (a *API) createToken(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	var w auth.Wanted
	var lifetime int64
	if err := decode(r, map[string]field{
		"name": {&w.Name, wantText, true}, "policies": {&w.Policies, wantNames, true}, "lifetime_seconds": {&lifetime, "a whole number of seconds", false},
		"spki_sha256": {(*filled)(&w.SPKI), wantFilled, false}, "subject": {(*filled)(&w.Subject), wantFilled, false}, "ca_pem": {(*filled)(&w.CAPEM), wantFilled, false},
	}); err != nil {
		return nil, err
	}
	var err error
	if w.Lifetime, err = seconds("lifetime_seconds", lifetime); err != nil {
		return nil, err
	}
	secret, t, err := a.o.Policies.CreateToken(r.Context(), w)
	if err != nil {
		return nil, refused(err)
	}
	e.fields = []zap.Field{zap.String("token_id", t.ID), zap.String("token_name", t.Name), zap.Strings("policies", t.Policies)}
	return ClientToken{t, secret}, nil
}

func (a *API) rotateClientToken(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	id, err := tokenID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	var overlap int64
	if err := decode(r, map[string]field{"overlap_seconds": {&overlap, "a whole number of seconds", false}}); err != nil {
		return nil, err
	}
	e.fields = []zap.Field{zap.String("token_id", id), zap.Int64("overlap_seconds", overlap)}
	both, err := seconds("overlap_seconds", overlap)
	if err != nil {
		return nil, err
	}
	secret, t, err := a.o.Policies.RotateToken(r.Context(), id, both)
	if err != nil {
		return nil, refused(err)
	}
	return ClientToken{t, secret}, nil
}

// tokenID refuses what is no id, and repeats none of it: it may be the token.
func tokenID(text string) (string, error) {
	if !ids.MatchString(text) {
		return "", problem.New(problem.Malformed, "the id of a token has 16 hexadecimal digits; the token itself is not asked for")
	}
	return text, nil
}

var ids = regexp.MustCompile(`^[0-9a-f]{16}$`)

func (a *API) revokeClientToken(_ http.ResponseWriter, r *http.Request, e *event) (any, error) {
	id, err := tokenID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if err := decode(r, nil); err != nil {
		return nil, err
	}
	e.fields = []zap.Field{zap.String("token_id", id)}
	if err := a.o.Policies.RevokeToken(r.Context(), id); err != nil {
		return nil, refused(err)
	}
	return Changed{"token " + id + " revoked"}, nil
}

// resetAuth is for policies that cannot be read any more, and for an incident.
func (a *API) resetAuth(_ http.ResponseWriter, r *http.Request, _ *event) (any, error) {
	if err := decode(r, nil); err != nil {
		return nil, err
	}
	if err := a.o.Policies.Reset(r.Context()); err != nil {
		return nil, refused(err)
	}
	return Changed{"all policies, client tokens and certificates dropped"}, nil
}
