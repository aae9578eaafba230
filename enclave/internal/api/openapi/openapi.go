// Package openapi serves the description of the API.
package openapi

import (
	_ "embed"
	"io"
	"net/http"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
)

//go:embed openapi.yaml
var text string

// Text is the description, OpenAPI 3.1 in YAML.
func Text() string { return text }

// Register adds the route.
func Register(mux api.Router) {
	mux.HandleFunc("GET /openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = io.WriteString(w, text) // a caller that is gone does not want it
	})
}
