// Package operator tells an operator the state of a running signer in one answer.
package operator

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/health"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// RouteStatus is the route of the status.
const RouteStatus = "/api/v1/operator/status"

// checkTimeout bounds all checks of one answer, so that a store that hangs makes an answer and not a wait.
const checkTimeout = 3 * time.Second

// Options are what there is to tell. All are required but Seal, Current and Roots.
type Options struct {
	Build    string // version of this program
	Platform string // tee.platform
	Network  string
	Started  time.Time
	Seal     func() Seal           // nil where all keys come from files
	Keys     func() map[string]int // how many keys can sign, by source
	Checks   []health.Check        // those of /healthcheck
	Current  func() (document []byte, notAfter time.Time)
	Roots    []*x509.Certificate // under which the document stands; nil are AWS's
}

// API answers the call.
type API struct {
	o     Options
	cache *attestation.Cache
}

// New makes the call's handler. It tells how many keys there are and what is wrong, and no secret.
func New(o Options) *API { return &API{o: o, cache: attestation.NewCache(1)} }

// Register adds the route.
func (a *API) Register(mux api.Router) { mux.HandleFunc("GET "+RouteStatus, a.status) }

func (a *API) status(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery != "" {
		api.WriteProblem(w, problem.New(problem.Malformed, "there are no parameters"))
		return
	}
	var now any
	if a.o.Seal != nil && a.sealed() && !api.Caller(r).Knows(auth.ChamberStatus) {
		now = a.outline()
	} else if err := api.Caller(r).May(auth.ChamberStatus); err != nil {
		api.WriteProblem(w, err)
		return
	} else {
		now = a.look(r.Context(), time.Now())
	}
	body, err := json.Marshal(now)
	if err != nil {
		api.WriteProblem(w, problem.Wrap(problem.Internal, err, "the status could not be told"))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(append(body, '\n')) // a caller that is gone does not want it
}

// sealed says that nobody can be told from anybody, because the master key is not there.
func (a *API) sealed() bool {
	s := a.o.Seal().Status
	return s != SealStatus(chamber.Unsealed.String()) && s != SealStatus(chamber.AwaitingRotation.String())
}

// outline is what everybody is told of a sealed signer: who has to end that is among them.
func (a *API) outline() Outline {
	seal := a.o.Seal()
	return Outline{
		Seal: Seal{Status: seal.Status, Reason: seal.Reason}, Build: a.o.Build, Platform: a.o.Platform, Network: a.o.Network,
		Started: a.o.Started.UTC().Truncate(time.Second),
	}
}

func (a *API) look(ctx context.Context, now time.Time) Status {
	s := Status{
		Seal: notSealable(), Build: a.o.Build, Platform: a.o.Platform, Network: a.o.Network,
		Started: a.o.Started.UTC().Truncate(time.Second), Attestation: a.attested(now),
		Keys: Keys{Sources: a.o.Keys()},
	}
	if a.o.Seal != nil {
		s.Seal = a.o.Seal()
	}
	for _, n := range s.Keys.Sources {
		s.Keys.Total += n
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for _, c := range a.o.Checks {
		s.Checks = append(s.Checks, ask(ctx, c))
	}
	s.Healthy = !slices.ContainsFunc(s.Checks, func(c Check) bool { return !c.Up })
	return s
}

func ask(ctx context.Context, c health.Check) Check {
	data, err := c.Probe(ctx)
	out := Check{ID: c.ID, Up: err == nil, Data: data}
	if err != nil {
		out.Reason = err.Error()
	}
	return out
}
