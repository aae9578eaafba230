package diagnostics_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/diagnostics"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is the calls, asked without a connection between.
type desk struct {
	t     *testing.T
	mux   *http.ServeMux
	lines *observer.ObservedLogs
	asked []string // of SetLevel: level, time and caller
}

func newDesk(t *testing.T, files ...diagnostics.File) *desk {
	t.Helper()
	core, lines := observer.New(zap.DebugLevel)
	d := &desk{t: t, mux: http.NewServeMux(), lines: lines}
	now := diagnostics.Level{Level: "info", Configured: "info"}
	diagnostics.New(diagnostics.Options{
		Level: func() diagnostics.Level { return now },
		SetLevel: func(level string, how time.Duration, caller string) diagnostics.Level {
			d.asked = append(d.asked, level+" "+how.String()+" "+caller)
			now = diagnostics.Level{Level: level, Configured: "info", Until: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
			return now
		},
		Files: files, Log: zap.New(core),
	}).Register(d.mux)
	return d
}

func (d *desk) ask(caller auth.Caller, method, target, body string) *httptest.ResponseRecorder {
	d.t.Helper()
	r := httptest.NewRequestWithContext(d.t.Context(), method, target, strings.NewReader(body))
	w := httptest.NewRecorder()
	d.mux.ServeHTTP(w, api.WithCaller(r, caller))
	return w
}

// bundle is the files of a bundle by their names.
func (d *desk) bundle() map[string]string {
	d.t.Helper()
	w := d.ask(authtest.Management(), "GET", diagnostics.RouteBundle, "")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/x-tar" || w.Header().Get("Cache-Control") != "no-store" {
		d.t.Fatalf("%d %v %.200s", w.Code, w.Header(), w.Body)
	}
	if w.Body.Len() > diagnostics.MaxBundle {
		d.t.Errorf("%d bytes", w.Body.Len())
	}
	return unpack(d.t, w.Body.Bytes())
}

func unpack(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	files := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		name, ok := strings.CutPrefix(h.Name, diagnostics.Folder)
		if !ok || h.Mode != 0o600 {
			t.Errorf("%s, mode %o", h.Name, h.Mode)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
}

// text is a file that says something.
func text(name, what string) diagnostics.File {
	return diagnostics.File{Name: name, About: "about " + name, Make: func(context.Context) ([]byte, error) { return []byte(what), nil }}
}
