package diagnostics_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/diagnostics"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
)

var calls = []struct{ method, route, body string }{
	{"GET", diagnostics.RouteLogLevel, ""},
	{"POST", diagnostics.RouteLogLevel, `{"level":"debug","seconds":60}`},
	{"GET", diagnostics.RouteBundle, ""},
}

// TestWhoMayAsk: a management token alone; and the log has who asked.
func TestWhoMayAsk(t *testing.T) {
	for name, test := range map[string]struct {
		caller auth.Caller
		code   int
		level  string // of the line
	}{
		"management": {authtest.Management(), 200, "info"},
		"client":     {authtest.With(auth.ChamberStatus, auth.ChamberSeal), 403, "info"},
		"setup":      {authtest.Setup(), 401, "warn"},
		"nobody":     {authtest.Anonymous(), 401, "warn"},
		"open":       {authtest.Open(), 401, "warn"},
		"zero":       {auth.Caller{}, 401, "warn"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			for _, c := range calls {
				w := d.ask(test.caller, c.method, c.route, c.body)
				if w.Code != test.code {
					t.Errorf("%s %s: %d %.200s, want %d", c.method, c.route, w.Code, w.Body, test.code)
				}
				lines := d.lines.TakeAll()
				if len(lines) != 1 || lines[0].Message != "diagnostics request" || lines[0].Level.String() != test.level {
					t.Fatalf("%s: lines %v", c.route, lines)
				}
				got := lines[0].ContextMap()
				if got["audit"] != "request" || got["route"] != c.method+" "+c.route || got["caller"] != test.caller.String() || got["status"] != int64(test.code) {
					t.Errorf("%s: %v", c.route, got)
				}
			}
			if changed := len(d.asked) > 0; changed != (test.code == 200) {
				t.Errorf("changed: %v", d.asked)
			}
		})
	}
}

func TestLogLevel(t *testing.T) {
	d := newDesk(t)
	root := authtest.Management()
	if w := d.ask(root, "GET", diagnostics.RouteLogLevel, ""); w.Body.String() != `{"level":"info","configured":"info"}`+"\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	const changed = `{"level":"debug","configured":"info","until":"2026-03-01T12:00:00Z"}` + "\n"
	if w := d.ask(root, "POST", diagnostics.RouteLogLevel, `{"level":"debug","seconds":86400}`); w.Body.String() != changed {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := d.ask(root, "GET", diagnostics.RouteLogLevel, ""); w.Body.String() != changed || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, level := range diagnostics.Levels() {
		if w := d.ask(root, "POST", diagnostics.RouteLogLevel, `{"level":"`+level+`"}`); w.Code != 200 {
			t.Errorf("%s: %d %s", level, w.Code, w.Body)
		}
	}
	want := []string{"debug 24h0m0s ", "debug 10m0s ", "info 10m0s ", "warn 10m0s ", "error 10m0s "}
	for i := range want {
		want[i] += root.String()
	}
	if diff := cmp.Diff(want, d.asked); diff != "" {
		t.Error(diff)
	}
}

func TestLogLevelRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		query, body string
		code        int
		words       string
	}{
		"nothing":         {"", "", 400, "want a JSON object"},
		"a list":          {"", "[]", 400, "want a JSON object"},
		"no level":        {"", `{"seconds":1}`, 400, "level: want one of debug, info, warn, error"},
		"another level":   {"", `{"level":"trace","seconds":1}`, 400, "level: want one of"},
		"capitals":        {"", `{"level":"DEBUG","seconds":1}`, 400, "level: want one of"},
		"no time":         {"", `{"level":"debug","seconds":0}`, 400, "seconds: want 1 to 86400"},
		"too long":        {"", `{"level":"debug","seconds":86401}`, 400, "seconds: want 1 to 86400"},
		"before now":      {"", `{"level":"debug","seconds":-5}`, 400, "seconds: want 1 to 86400"},
		"a fraction":      {"", `{"level":"debug","seconds":1.5}`, 400, "want a JSON object"},
		"unknown field":   {"", `{"level":"debug","minutes":1}`, 400, "want a JSON object"},
		"something after": {"", `{"level":"debug"}{}`, 400, "something stands after"},
		"a parameter":     {"?level=debug", "", 400, "there are no parameters"},
		"large":           {"", `{"level":"` + strings.Repeat("x", 5000) + `"}`, 413, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			w := d.ask(authtest.Management(), "POST", diagnostics.RouteLogLevel+test.query, test.body)
			var got struct{ Message string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != test.code || !strings.Contains(got.Message, test.words) || d.asked != nil {
				t.Errorf("%d %s %v, want %d with %q", w.Code, w.Body, d.asked, test.code, test.words)
			}
		})
	}
}
