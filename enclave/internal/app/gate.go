package app

import (
	"net/http"
	"sync/atomic"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/health"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// gate serves what can be answered during the start until it is opened.
type gate struct {
	early http.Handler
	inner atomic.Pointer[http.Handler] // nil while closed
}

// newGate adds a route to early that takes all others and answers 503 with the stage of the start that is missing, so that a
// caller that comes early learns why.
func newGate(early *routes, h *health.Health) *gate {
	early.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		stage, _, _ := h.Starting()
		api.WriteProblem(w, problem.New(problem.Sealed, "starting: stage %s is not done", stage))
	})
	return &gate{early: early.handler()}
}

// open serves h from now on, which has the early routes too.
func (g *gate) open(h http.Handler) { g.inner.Store(&h) }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := g.inner.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	g.early.ServeHTTP(w, r)
}
