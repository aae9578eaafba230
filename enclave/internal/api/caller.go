package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// A wrong token is answered after a while, which makes guessing slow, and never takes a place from those who have a right one. Whoever finds
// all seats of those who wait taken gets the answer at once. In either case they have to connect again.
const (
	Penalty = 500 * time.Millisecond
	seats   = 512
)

// maxToken is the most bytes of a token that is looked at.
const maxToken = 1 << 10

// everybody are the paths whose answers are for everybody, with a token or not.
var everybody = []string{"/upcheck", "/healthcheck", "/readyz", "/metrics", "/openapi.yaml", attestationPath} //nolint:gochecknoglobals // constant

type callerKey struct{}

// Caller is who sends a request, as it was found out before it took a place. Without that, as in a handler alone, it is nobody.
func Caller(r *http.Request) auth.Caller {
	c, _ := r.Context().Value(callerKey{}).(auth.Caller)
	return c
}

// WithCaller is a request of a caller.
func WithCaller(r *http.Request, c auth.Caller) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c))
}

// Identify has requests bring their callers; before it all callers are nobody. A wrong token costs its sender the penalty: [Penalty] is a good one.
func (l *Limits) Identify(who func(auth.Credential) auth.Caller, penalty time.Duration) {
	l.who.Store(&identification{who, penalty})
}

// identification is how callers become known.
type identification struct {
	who     func(auth.Credential) auth.Caller
	penalty time.Duration
}

// Identified calls h with the caller, and refuses who sends a credential that is none. Servers do it by themselves.
func (l *Limits) Identified(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := l.who.Load()
		if id == nil || slices.Contains(everybody, r.URL.Path) {
			h.ServeHTTP(w, r)
			return
		}
		caller := id.who(CredentialOf(r))
		err := caller.Refused()
		if reads := r.Method == http.MethodGet || r.Method == http.MethodHead; err == nil && !reads {
			if err := caller.Closed(); err != nil { // before its body takes the place of those who have a token
				w.Header().Set("Connection", "close")
				WriteProblem(w, err)
				return
			}
		}
		if err == nil || problem.Of(err).Kind != problem.Unauthenticated {
			h.ServeHTTP(w, WithCaller(r, caller))
			return
		}
		l.atone(r.Context(), id.penalty)
		w.Header().Set("Connection", "close")
		WriteProblem(w, err)
	})
}

// atone waits for the time that a wrong token costs, if there is a seat.
func (l *Limits) atone(ctx context.Context, penalty time.Duration) {
	if l.atoning.Add(1) > seats {
		l.atoning.Add(-1)
		return
	}
	defer l.atoning.Add(-1)
	timer := time.NewTimer(penalty)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// CredentialOf reads what a request shows: a bearer token, or the password of Basic credentials, which is the only form that most validator
// clients can send; the user name says nothing. Two headers are refused, because somebody before us may have looked at the other one.
func CredentialOf(r *http.Request) auth.Credential {
	c := auth.Credential{Request: auth.Request{From: r.RemoteAddr, Method: r.Method, Path: r.URL.Path}}
	if r.TLS != nil {
		c.Chain = r.TLS.PeerCertificates
	}
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return c
	}
	if _, password, ok := r.BasicAuth(); ok {
		c.Token = password
	} else if scheme, token, _ := strings.Cut(values[0], " "); strings.EqualFold(scheme, "Bearer") {
		c.Token = strings.TrimSpace(token)
	}
	switch {
	case len(values) > 1:
		c.Fault = fmt.Errorf("want one header Authorization, and there are %d", len(values))
	case c.Token == "" || len(c.Token) > maxToken:
		c.Fault = errors.New("want Authorization: Bearer and a token, or Basic with the token as password")
	}
	return c
}
