package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
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

// TestNoPageOfAnotherSiteChangesAnything: a browser sends some requests of any page without asking its user, and this host first.
func TestNoPageOfAnotherSiteChangesAnything(t *testing.T) {
	mux := http.NewServeMux()
	asked := 0
	mux.HandleFunc("/reload", func(http.ResponseWriter, *http.Request) { asked++ })
	for name, tc := range map[string]struct {
		methods string
		header  []string
		code    int
	}{
		"no browser":         {"GET HEAD OPTIONS POST PUT DELETE", nil, 200},
		"another site":       {"POST PUT DELETE PATCH", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another host":       {"POST PUT DELETE PATCH", []string{"Sec-Fetch-Site", "same-site"}, 403},
		"an older browser":   {"POST PUT DELETE PATCH", []string{"Origin", "https://attacker.example"}, 403},
		"a page from a file": {"POST PUT DELETE PATCH", []string{"Origin", "null"}, 403},
		"it only reads":      {"GET HEAD OPTIONS", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://attacker.example"}, 200},
		"the same origin":    {"GET POST PUT DELETE", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://signer"}, 200},
		"the user":           {"GET POST", []string{"Sec-Fetch-Site", "none"}, 200},
	} {
		for method := range strings.FieldsSeq(tc.methods) {
			r := httptest.NewRequestWithContext(t.Context(), method, "http://signer/reload", nil)
			for i := 0; i < len(tc.header); i += 2 {
				r.Header.Set(tc.header[i], tc.header[i+1])
			}
			w := httptest.NewRecorder()
			asked = 0
			Routes(mux).ServeHTTP(w, r)
			if w.Code != tc.code || (asked == 1) != (tc.code == 200) {
				t.Errorf("%s, %s: %d %s, asked %d times", name, method, w.Code, w.Body, asked)
			}
			var says refusal
			if err := json.Unmarshal(w.Body.Bytes(), &says); tc.code == 403 && (err != nil || says.Code != 403 || says.Error != says.Message || !strings.Contains(says.Message, "another site")) {
				t.Errorf("%s, %s: %s, %v", name, method, w.Body, err)
			}
		}
	}
}
