package app

import (
	"net/http"
	"sync/atomic"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/health"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// gate answers 503 with the stage of the start that is missing until it is opened, so that a caller that comes early
// learns why.
type gate struct {
	health *health.Health
	inner  atomic.Pointer[http.Handler] // nil while closed
}

func (g *gate) open(h http.Handler) { g.inner.Store(&h) }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := g.inner.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	stage, _, _ := g.health.Starting()
	api.WriteProblem(w, problem.New(problem.Sealed, "starting: stage %s is not done", stage))
}
