package app

import (
	"net/http"
	"slices"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
)

// routes is a mux that knows what was registered: the API's description is held against it.
type routes struct {
	mux      *http.ServeMux
	patterns []string
}

func newRoutes() *routes { return &routes{mux: http.NewServeMux()} }

// HandleFunc adds a route.
func (r *routes) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	r.patterns = append(r.patterns, pattern)
	r.mux.HandleFunc(pattern, handler)
}

// handler serves the routes.
func (r *routes) handler() http.Handler { return api.Routes(r.mux) }

// field lists the routes for the log.
func (r *routes) field() zap.Field {
	return zap.Strings("routes", slices.Sorted(slices.Values(r.patterns)))
}
