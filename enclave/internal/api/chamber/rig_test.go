package chamber_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/chambertest"
	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is one replica, asked without a connection between.
type desk struct {
	t     *testing.T
	world *chambertest.World
	*chambertest.Signer
	lines *observer.ObservedLogs
	root  string // the root token
}

func newDesk(t *testing.T, world *chambertest.World, with func(*chamber.Options, *routes.Options)) *desk {
	t.Helper()
	core, lines := observer.New(zap.DebugLevel)
	s, err := world.Signer(zap.New(core), with)
	if err != nil {
		t.Fatal(err)
	}
	return &desk{t: t, world: world, Signer: s, lines: lines}
}

// initialized is a replica after a 2-of-3 init.
func initialized(t *testing.T, with func(*chamber.Options, *routes.Options)) *desk {
	t.Helper()
	d := newDesk(t, &chambertest.World{}, with)
	var got routes.Initialized
	d.ok("POST", routes.RouteInit, d.Chamber.SetupToken(), initBody(2, chambertest.ARNs(1, 2, 3)...), &got)
	d.root = got.RootToken
	return d
}

// client makes a client token with a policy of its own.
func (d *desk) client(rules ...auth.Rule) (token string) {
	d.t.Helper()
	name := fmt.Sprintf("p%d", d.Chamber.Status().Version)
	var made routes.ClientToken
	d.ok("PUT", routes.RoutePolicies+"/"+name, d.root, encode(map[string]any{"rules": rules}), &auth.Policy{})
	d.ok("POST", routes.RouteTokens, d.root, encode(map[string]any{"name": "client", "policies": []string{name}}), &made)
	return made.Secret
}

// beside is another replica on the same stores, which has read them.
func (d *desk) beside() *desk {
	d.t.Helper()
	other := newDesk(d.t, d.world, nil)
	other.root = d.root
	if err := other.Chamber.Refresh(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	return other
}

func initBody(threshold int, arns ...string) string {
	return encode(map[string]any{"kms_key_arns": arns, "threshold": threshold})
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a test's own value
	}
	return string(text)
}

// ask sends one request, with a token unless that is "".
func (d *desk) ask(method, target, token, body string) *httptest.ResponseRecorder {
	d.t.Helper()
	return d.askWith(d.t.Context(), method, target, token, body)
}

// askWith is ask by a caller who goes away when ctx ends.
func (d *desk) askWith(ctx context.Context, method, target, token, body string) *httptest.ResponseRecorder {
	d.t.Helper()
	r := httptest.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	d.Handler.ServeHTTP(w, r)
	return w
}

// ok fails the test unless the answer is 200, and reads it.
func (d *desk) ok(method, target, token, body string, answer any) {
	d.t.Helper()
	w := d.ask(method, target, token, body)
	if w.Code != http.StatusOK {
		d.t.Fatalf("%s %s %.200s: %d %s", method, target, body, w.Code, w.Body)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		d.t.Errorf("%s: the answer may be kept: %v", target, w.Header())
	}
	decoder := json.NewDecoder(w.Body)
	decoder.DisallowUnknownFields()
	if answer == nil {
		answer = &routes.Done{}
	}
	if err := decoder.Decode(answer); err != nil {
		d.t.Fatalf("%s: %v", target, err)
	}
}

// post is a POST with the root token that must go well.
func (d *desk) post(target, body string) (done routes.Done) {
	d.t.Helper()
	d.ok("POST", target, d.root, body, &done)
	return done
}

// refused fails the test unless the answer is a refusal in the form of every other, with these words.
func (d *desk) refused(what string, w *httptest.ResponseRecorder, code int, words string) {
	d.t.Helper()
	var got struct {
		Code           int
		Message, Error string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != code || got.Code != code || got.Message != got.Error || !strings.Contains(got.Message, words) {
		d.t.Errorf("%s: %d %s (%v), want %d with %q", what, w.Code, w.Body, err, code, words)
	}
	if w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
		d.t.Errorf("%s: %v", what, w.Header())
	}
}

// audited are the lines of requests since the last call.
func (d *desk) audited() (lines []map[string]any) {
	for _, entry := range d.lines.TakeAll() {
		if entry.Message == "chamber request" {
			lines = append(lines, entry.ContextMap())
		}
	}
	return lines
}

// recorder is a router that takes patterns down.
type recorder func(pattern string)

func (r recorder) HandleFunc(pattern string, _ func(http.ResponseWriter, *http.Request)) { r(pattern) }
