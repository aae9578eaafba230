package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

func TestWriteProblem(t *testing.T) {
	cause := errors.New("dial 10.0.0.7: refused")
	for name, tc := range map[string]struct {
		err    error
		code   int
		public string
		header map[string][]string
	}{
		"malformed":       {problem.New(problem.Malformed, "type: is \"missing\""), 400, `type: is "missing"`, nil},
		"unauthenticated": {problem.New(problem.Unauthenticated, "no token"), 401, "no token", map[string][]string{"Www-Authenticate": {"Bearer", `Basic realm="containment-chamber"`}}},
		"forbidden":       {problem.New(problem.Forbidden, "another network"), 403, "another network", nil},
		"unknown key":     {problem.New(problem.UnknownKey, "no such key"), 404, "no such key", nil},
		"too large":       {problem.New(problem.TooLarge, "33 MiB"), 413, "33 MiB", nil},
		"slashable":       {fmt.Errorf("sign: %w", problem.New(problem.Slashable, "surrounds")), 412, "surrounds", nil},
		"sealed":          {problem.New(problem.Sealed, "starting"), 503, "starting", map[string][]string{"Retry-After": {"1"}}},
		"overloaded":      {problem.New(problem.Overloaded, "too much"), 503, "too much", map[string][]string{"Retry-After": {"1"}}},
		"store":           {problem.Wrap(problem.StoreUnavailable, cause, "the store cannot be reached"), 503, "the store cannot be reached", map[string][]string{"Retry-After": {"1"}}},
		"anything else":   {cause, 500, "internal error", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			api.WriteProblem(w, tc.err)
			if w.Code != tc.code {
				t.Errorf("status %d, want %d", w.Code, tc.code)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
				t.Errorf("content type %q", got)
			}
			for _, name := range []string{"Retry-After", "Www-Authenticate"} {
				if diff := cmp.Diff(tc.header[name], w.Header()[http.CanonicalHeaderKey(name)]); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
			}
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{"code": float64(tc.code), "message": tc.public, "error": tc.public}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(w.Body.String(), "10.0.0.7") {
				t.Error("the answer shows the cause")
			}
		})
	}
}
