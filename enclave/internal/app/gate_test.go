package app

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/health"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/boot"
)

// TestBeforeTheStartIsDone every call but those that are there early is refused, with the stage that is missing.
func TestBeforeTheStartIsDone(t *testing.T) {
	h := health.New(boot.NewProgress())
	early := newRoutes()
	h.Register(early)
	g := newGate(early, h)
	ask := func(method, path string, status int, says string) {
		t.Helper()
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		if w.Code != status || !strings.Contains(w.Body.String(), says) {
			t.Errorf("%s %s: %d %s, want %d with %q", method, path, w.Code, w.Body, status, says)
		}
	}
	const starting = `{"code":503,"message":"starting: stage start is not done"`
	ask(http.MethodGet, "/upcheck", 200, "OK")
	ask(http.MethodGet, "/healthcheck", 503, `"missing-stage":"start"`)
	ask(http.MethodGet, "/api/v1/eth2/publicKeys", 503, starting)
	ask(http.MethodPost, "/api/v1/eth2/sign/0xaa", 503, starting)
	ask(http.MethodPost, "/reload", 503, starting)

	late := newRoutes()
	h.Register(late)
	late.HandleFunc("POST /reload", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	g.open(late.handler())
	ask(http.MethodGet, "/upcheck", 200, "OK")
	ask(http.MethodPost, "/upcheck", 405, `"code":405`)
	ask(http.MethodPost, "/reload", 202, "")
	ask(http.MethodPost, "/elsewhere", 404, `"code":404`)
}
