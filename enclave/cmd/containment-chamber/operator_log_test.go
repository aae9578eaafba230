package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/diagnostics"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
)

// diagnosed is a signer that answers diagnostics to one management token.
type diagnosed struct {
	t     *testing.T
	url   string
	asked []string // levels with their times
}

func startDiagnosed(t *testing.T, files ...diagnostics.File) *diagnosed {
	t.Helper()
	s := &diagnosed{t: t}
	now := diagnostics.Level{Level: "info", Configured: "info"}
	mux := http.NewServeMux()
	diagnostics.New(diagnostics.Options{
		Level: func() diagnostics.Level { return now },
		SetLevel: func(level string, d time.Duration, _ string) diagnostics.Level {
			s.asked = append(s.asked, level+" "+d.String())
			now = diagnostics.Level{Level: level, Configured: "info", Until: time.Now().Add(d)}
			return now
		},
		Files: files, Log: zap.NewNop(),
	}).Register(mux)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := authtest.Anonymous()
		switch r.Header.Get("Authorization") {
		case "Bearer " + authtest.ManagementToken:
			caller = authtest.Management()
		case "Bearer client":
			caller = authtest.With()
		}
		mux.ServeHTTP(w, api.WithCaller(r, caller))
	}))
	t.Cleanup(server.Close)
	t.Setenv("ROOT_TOKEN", authtest.ManagementToken)
	s.url = server.URL
	return s
}

func (s *diagnosed) operator(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	return command(s.t, append(append([]string{"operator"}, args...), "--signer-url", s.url, "--allow-plaintext-signer", "--auth-token", "env:ROOT_TOKEN")...)
}

func TestOperatorLogLevel(t *testing.T) {
	s := startDiagnosed(t)
	for _, test := range []struct{ args, out string }{
		{"log-level", "level  info\n"},
		{"log-level debug --for 24h", "level       debug\nuntil       20"},
		{"log-level", "afterwards  info\n"},
		{"log-level error --output json", `"configured": "info"`},
		{"log-level info --for 1s", "level       info\n"},
	} {
		code, out, errs := s.operator(strings.Fields(test.args)...)
		if code != exitOK || !strings.Contains(out, test.out) {
			t.Errorf("%s: exit code %d, %q, %q; want %q", test.args, code, out, errs, test.out)
		}
	}
	if diff := cmp.Diff([]string{"debug 24h0m0s", "error 10m0s", "info 1s"}, s.asked); diff != "" {
		t.Error(diff)
	}
}

func TestOperatorLogLevelRefuses(t *testing.T) {
	s := startDiagnosed(t)
	for _, test := range []struct {
		args  string
		code  int
		words string
	}{
		{"log-level trace", exitUsage, `"trace": want one of debug, info, warn, error`},
		{"log-level debug info", exitUsage, "accepts at most 1 arg(s)"},
		{"log-level --for 1m", exitUsage, "--for: there is no LEVEL"},
		{"log-level debug --for 0s", exitUsage, "--for: want whole seconds, from 1s to 24h"},
		{"log-level debug --for 24h1s", exitUsage, "--for: want whole seconds"},
		{"log-level debug --for 1500ms", exitUsage, "--for: want whole seconds"},
		{"log-level debug --for -5m", exitUsage, "--for: want whole seconds"},
		{"log-level debug --for 10", exitUsage, "missing unit"},
	} {
		code, out, errs := s.operator(strings.Fields(test.args)...)
		if code != test.code || out != "" || !strings.Contains(errs, test.words) {
			t.Errorf("%s: exit code %d, %q, %q; want %d and %q", test.args, code, out, errs, test.code, test.words)
		}
	}
	if s.asked != nil {
		t.Error(s.asked)
	}
}

// TestOperatorDiagnosticsAreRefused as the signer says, and explained where it does not serve them.
func TestOperatorDiagnosticsAreRefused(t *testing.T) {
	s := startDiagnosed(t)
	for token, words := range map[string]string{"wrong": "a management token is needed", "client": "is no management token"} {
		t.Setenv("ROOT_TOKEN", token)
		for _, args := range [][]string{{"log-level"}, {"log-level", "debug"}, {"support-bundle", "--output-file", t.TempDir() + "/x"}} {
			if code, out, errs := s.operator(args...); code != exitFailure || out != "" || !strings.Contains(errs, words) {
				t.Errorf("%v: exit code %d, %q, %q; want %q", args, code, out, errs, words)
			}
		}
	}
	none := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(none.Close)
	s.url = none.URL
	for _, args := range [][]string{{"log-level"}, {"support-bundle", "--output-file", t.TempDir() + "/x"}} {
		if code, _, errs := s.operator(args...); code != exitFailure || !strings.Contains(errs, "the signer does not serve it: it is of another release, or this is its health port") {
			t.Errorf("%v: exit code %d, %q", args, code, errs)
		}
	}
}
