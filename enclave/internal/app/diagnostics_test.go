package app

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/diagnostics"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/health"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/boot"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// opened is a signer after its start, whose diagnostics are asked without a connection between.
type opened struct {
	*signer
	t   *testing.T
	mux *routes
}

func open(t *testing.T, o Options) *opened {
	t.Helper()
	s := &signer{options: o, cfg: o.Config}
	if err := s.openLogs(); err != nil {
		t.Fatal(err)
	}
	fail := func(err error) { t.Errorf("a room ended: %v", err) }
	s.house, s.yard = newHouse(t.Context(), s.log, fail), newHouse(t.Context(), s.log, fail)
	s.progress = boot.NewProgress()
	s.health = health.New(s.progress)
	t.Cleanup(func() {
		if err := s.stop(nil); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if err := s.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	out := &opened{signer: s, t: t, mux: newRoutes()}
	s.serveDiagnostics(out.mux)
	return out
}

// opsToken is a management token of a file, which looks like nothing in particular.
const opsToken = "Vb8mZq31-rTnY6wLx0Kd"

// openAlone is such a signer of platform none, and its log.
func openAlone(t *testing.T, extra string, store OpenStore) (*opened, *alone) {
	t.Helper()
	dir, out := t.TempDir(), &lines{}
	a := &alone{t: t, dir: dir, lines: out, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, done: make(chan error, 1)}
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	a.write("keys/first.yaml", descriptorOf(secretKey))
	a.write("ops-token", opsToken)
	a.write("policies.yaml", "tokens: [{name: ops, management: true, secret: 'file:"+filepath.Join(dir, "ops-token")+"'}]")
	cfg, err := config.LoadBytes([]byte(strings.ReplaceAll(`{network: hoodi, auth: {policy_file: DIR/policies.yaml}, server: {listen_port: 0}, metrics: {listen_address: 127.0.0.1, listen_port: 0},
key_sources: {filesystem: {paths: [DIR/keys]}, database: {enabled: `+fmt.Sprint(extra != "")+`}}, anti_slashing: {backend: sqlite, sqlite: {path: DIR/s.sqlite}}`+extra+"}", "DIR", dir)))
	if err != nil {
		t.Fatal(err)
	}
	backends := custodyBackends(map[string]OpenStore{"sqlite": store})
	s := open(t, Options{Platform: Platform{Name: "none", Direct: egress.Direct(), Backends: backends}, Config: cfg, Stdout: out})
	a.find()
	return s, a
}

func openFile(ctx context.Context, s config.AntiSlashing, _ egress.DialFunc) (slashing.Store, error) {
	return sqlite.Open(ctx, s.SQLite.Path)
}

func (s *opened) ask(method, target, body string) *httptest.ResponseRecorder {
	s.t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(s.t.Context(), method, target, strings.NewReader(body))
	s.mux.handler().ServeHTTP(w, api.WithCaller(r, authtest.Management()))
	return w
}

// bundle is a support bundle as it is sent, and its files by their names.
func (s *opened) bundle() (archive []byte, files map[string]string) {
	s.t.Helper()
	w := s.ask(http.MethodGet, diagnostics.RouteBundle, "")
	if w.Code != http.StatusOK {
		s.t.Fatalf("%d %s", w.Code, w.Body)
	}
	archive, files = w.Body.Bytes(), map[string]string{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return archive, files
		}
		if err != nil {
			s.t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			s.t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, diagnostics.Folder)] = string(text)
	}
}

// TestSupportBundle has everything of a running signer.
func TestSupportBundle(t *testing.T) {
	s, _ := openAlone(t, "", openFile)
	_, files := s.bundle()
	if strings.Contains(files["README.txt"], "INCOMPLETE") {
		t.Error(files["README.txt"])
	}
	for name, words := range map[string][]string{
		"build.json":        {`"release": "0.1.0"`, `"platform": "none"`, `"network": "hoodi"`, fmt.Sprintf(`"config_digest": "%x"`, s.cfg.Digest()), `"config_measured": false`, `"go": "go1.`},
		"configuration.txt": {"network: \"hoodi\"\n", "anti_slashing.backend: \"sqlite\"\n", "log.level: \"info\"  # default\n"},
		"status.json":       {`"healthy": true`, `"total": 1`, `"id": "slashing-protection"`},
		"clock.json":        {`"now": "20`, `"serving_for_seconds": `, `"wall_clock_moved_seconds": `},
		"timings.json":      {`"stage": "slashing"`, `"stage": "keys"`, `"duration": "`, `"timings": [`},
		"metrics.txt":       {"# TYPE containment_build_info gauge\n", "containment_http_requests_limit 8192\n", "containment_healthy 1\n"},
		"goroutines.txt":    {"goroutine profile: total ", "internal/api.(*Server).Run+"},
		"runtime.json":      {`"goroutines": `, `"heap_alloc": `, `"gc_runs": `},
		"log.jsonl":         {`"message":"starting"`, `"message":"stage done"`, `"message":"listening"`},
		"log-start.jsonl":   {`"message":"starting"`, `"seq":1}`},
	} {
		for _, word := range words {
			if !strings.Contains(files[name], word) {
				t.Errorf("no %q in %s:\n%.3000s", word, name, files[name])
			}
		}
		if strings.HasSuffix(name, ".json") && !json.Valid([]byte(files[name])) {
			t.Errorf("%s is not JSON:\n%s", name, files[name])
		}
		delete(files, name)
	}
	delete(files, "README.txt")
	if len(files) != 0 {
		t.Errorf("not looked at: %v", sortedKeys(files))
	}
}

func sortedKeys(m map[string]string) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	return names
}

// hanging is a store whose Check, from some time on, does not heed its context.
type hanging struct {
	slashing.Store
	hangs   chan struct{} // closed when it begins
	release chan struct{}
}

func (h *hanging) Check(ctx context.Context) error {
	select {
	case <-h.hangs:
		<-h.release
	default:
	}
	return h.Store.Check(ctx)
}

// TestDiagnosticsDoNotWaitForAStoreThatHangs: they answer while it hangs, and the bundle says what is missing.
func TestDiagnosticsDoNotWaitForAStoreThatHangs(t *testing.T) {
	h := &hanging{hangs: make(chan struct{}), release: make(chan struct{})}
	s, _ := openAlone(t, "", func(ctx context.Context, c config.AntiSlashing, d egress.DialFunc) (_ slashing.Store, err error) {
		h.Store, err = openFile(ctx, c, d)
		return h, err
	})
	t.Cleanup(func() { close(h.release) })
	close(h.hangs)
	if w := s.ask(http.MethodGet, diagnostics.RouteLogLevel, ""); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	_, files := s.bundle()
	if _, there := files["status.json"]; there || !strings.Contains(files["README.txt"], "INCOMPLETE: not made within 3s") {
		t.Error(files["README.txt"])
	}
	for _, name := range []string{"log.jsonl", "metrics.txt", "goroutines.txt", "configuration.txt"} {
		if files[name] == "" {
			t.Errorf("no %s", name)
		}
	}
}

// levelForAWhile asks for lines that are not written otherwise, on a platform.
func levelForAWhile(t *testing.T, s *opened) {
	t.Helper()
	s.log.Debug("too early")
	var now diagnostics.Level
	w := s.ask(http.MethodPost, diagnostics.RouteLogLevel, `{"level":"debug","seconds":3600}`)
	if err := json.Unmarshal(w.Body.Bytes(), &now); err != nil || w.Code != http.StatusOK || now.Level != "debug" || now.Configured != "info" || now.Until.IsZero() {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	s.log.Named("anything").Debug("in time")
	if diff := cmp.Diff(w.Body.String(), s.ask(http.MethodGet, diagnostics.RouteLogLevel, "").Body.String()); diff != "" {
		t.Error(diff)
	}
	_, files := s.bundle()
	for word, want := range map[string]bool{
		"too early": false, "in time": true, `"message":"log level changed for a while"`: true, `"caller":"` + authtest.Management().String() + `"`: true,
	} {
		if strings.Contains(files["log.jsonl"], word) != want {
			t.Errorf("%q in the log: %t, want %t", word, !want, want)
		}
	}
}

// TestDiagnosticsOfAnEnclave: it has the same, and the clock of its security module.
func TestDiagnosticsOfAnEnclave(t *testing.T) {
	dir, err := os.MkdirTemp("", "cc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := &booted{t: t, net: unixvsock.Dir(dir), dir: dir}
	c.serveBoot(strings.ReplaceAll(`{network: hoodi, tls: {mode: atls}, tee: {platform: simulated, simulated: {socket_dir: DIR, state_dir: DIR/nsm}},
anti_slashing: {backend: sqlite, sqlite: {path: DIR/s.sqlite}}}`, "DIR", dir))
	c.serve(wire.PortLogs, func(conn net.Conn) {
		for r := wire.NewLogReader(conn); ; {
			if _, _, err := r.Next(); err != nil {
				return
			}
		}
	})
	s := open(t, Options{Platform: c.platform()})
	levelForAWhile(t, s)
	_, files := s.bundle()
	if strings.Contains(files["README.txt"], "INCOMPLETE") {
		t.Error(files["README.txt"])
	}
	for name, words := range map[string][]string{
		"clock.json":  {`"ahead_of_security_module_seconds": `},
		"status.json": {`"PCR16": "`, fmt.Sprintf(`"config_digest": "%x"`, s.digest)},
		"build.json":  {`"platform": "simulated"`, `"config_measured": true`, fmt.Sprintf(`"config_digest": "%x"`, s.digest)},
		"log.jsonl":   {`"enclave_id":"`},
	} {
		for _, word := range words {
			if !strings.Contains(files[name], word) {
				t.Errorf("no %q in %s:\n%.3000s", word, name, files[name])
			}
		}
	}
}

func TestLogLevelForAWhile(t *testing.T) {
	s, a := openAlone(t, "", openFile)
	levelForAWhile(t, s)
	if len(a.lines.with("in time")) != 1 || len(a.lines.with("too early")) != 0 {
		t.Error(a.lines)
	}
}
