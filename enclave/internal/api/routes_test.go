package api

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatHasNoRouteIsAnsweredLikeEveryError(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sign/{key}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("key") == "0xaa" {
			_, _ = w.Write([]byte("signed"))
		}
	})
	for _, tc := range []struct {
		method, path string
		code         int
		body, allow  string
	}{
		{"POST", "/sign/0xaa", 200, "signed", ""},
		{"GET", "/sign/0xaa", 405, `{"code":405,"message":"method \"GET\" is not allowed here, but POST",` +
			`"error":"method \"GET\" is not allowed here, but POST"}`, "POST"},
		{"GET", "/reload", 404, `{"code":404,"message":"no such path: \"/reload\"","error":"no such path: \"/reload\""}`, ""},
		{"GET", "/<script>", 404, `{"code":404,"message":"no such path: \"/\u003cscript\u003e\"","error":"no such path: \"/\u003cscript\u003e\""}`, ""},
	} {
		w := httptest.NewRecorder()
		Routes(mux).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), tc.method, tc.path, nil))
		if diff := cmp.Diff(tc.body, w.Body.String()); w.Code != tc.code || diff != "" {
			t.Errorf("%s %s: %d (-want +got):\n%s", tc.method, tc.path, w.Code, diff)
		}
		if got := w.Header().Get("Allow"); got != tc.allow {
			t.Errorf("%s %s: Allow %q, want %q", tc.method, tc.path, got, tc.allow)
		}
		if ct := w.Header().Get("Content-Type"); tc.code != 200 && ct != "application/json; charset=utf-8" {
			t.Errorf("%s %s: Content-Type %q", tc.method, tc.path, ct)
		}
	}
}
