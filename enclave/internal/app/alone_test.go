package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

// alone is a signer of platform none in this process.
type alone struct {
	t      *testing.T
	dir    string // with the directory keys, which holds the key of secretKey
	lines  *lines
	client *http.Client
	token  string // for the Authorization header; "" sends none
	root   string // the root token of the chamber; "" without one
	main   string // URLs of the listeners
	meters string
	stop   context.CancelFunc
	done   chan error // run's result, once
}

func startAlone(t *testing.T, extra string, environ ...string) *alone {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	a := &alone{
		t: t, dir: t.TempDir(), lines: &lines{}, done: make(chan error, 1),
		client: &http.Client{Transport: transport, Timeout: 20 * time.Second},
	}
	if err := os.Mkdir(filepath.Join(a.dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	a.write("keys/first.yaml", descriptorOf(secretKey))
	a.write("policies.yaml", "tokens: [{name: operator, management: true, secret: 'sha256:23ad0df142455e253b23389659eb1a14ddc1d61f6bf6b7e432b8fefe22a37d19'}]\n")
	a.token = "an-operator-of-the-tests"
	a.write("config.yaml", strings.ReplaceAll(`{network: hoodi, server: {listen_port: 0}, metrics: {listen_address: 127.0.0.1, listen_port: 0}, log: {level: debug},
key_sources: {filesystem: {paths: [DIR/keys]}}, auth: {policy_file: DIR/policies.yaml}, anti_slashing: {backend: sqlite, sqlite: {path: DIR/s.sqlite}}`+extra+"}", "DIR", a.dir))
	for _, variable := range environ {
		if pair, ok := strings.CutPrefix(variable, "TEST_TLS="); ok { // what tls.file is to have
			a.write("tls.crt", pair)
			a.write("tls.key", pair)
		}
	}
	cfg, err := config.Load(config.Sources{Path: filepath.Join(a.dir, "config.yaml"), Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	stores := map[string]OpenStore{"sqlite": func(ctx context.Context, s config.AntiSlashing, _ egress.DialFunc) (slashing.Store, error) {
		return sqlite.Open(ctx, s.SQLite.Path)
	}}
	ctx, stop := context.WithCancel(t.Context())
	a.stop = stop
	go func() {
		a.done <- run(ctx, Options{Platform: Platform{Name: "none", Direct: egress.Direct(), Backends: custodyBackends(stores)}, Config: cfg, Stdout: a.lines})
	}()
	t.Cleanup(func() { stop(); a.done <- <-a.done })
	if cfg.SignerState.Backend != "" {
		a.initialize()
	}
	a.await()
	return a
}

func descriptorOf(secret string) string {
	return fmt.Sprintf("type: file-raw\nkeyType: BLS\nprivateKey: %q\n", secret)
}

func (a *alone) write(name, text string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// await waits until the signer listens and is ready.
func (a *alone) await() {
	a.t.Helper()
	a.until(func() bool {
		a.find()
		if a.main == "" || a.meters == "" {
			return false
		}
		status, _, _ := a.ask(http.MethodGet, a.main+"/readyz", "", "")
		return status == http.StatusOK
	})
}

// find reads the listeners' URLs from the log.
func (a *alone) find() {
	for _, l := range a.lines.with("listening") {
		switch url := "http://" + fmt.Sprint(l["address"]); l["listener"] {
		case "main":
			a.main = url
		case "metrics":
			a.meters = url
		}
	}
}

// until waits for a condition.
func (a *alone) until(holds func() bool) {
	a.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case err := <-a.done:
			a.done <- err
			a.t.Fatalf("ended: %v\n%s", err, a.lines)
		case <-a.t.Context().Done():
			a.t.Fatal("the test ended before the condition held")
		}
	}
}

// ask makes one request; accept is the Accept header, none if empty.
func (a *alone) ask(method, url, accept, body string) (int, http.Header, string) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	res, err := a.client.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

// lines takes the log.
type lines struct {
	mu   sync.Mutex // held while text is used
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// with returns the lines with a message.
func (l *lines) with(message string) (found []map[string]any) {
	for line := range strings.Lines(l.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["message"] == message {
			found = append(found, fields)
		}
	}
	return found
}

// TestAnIPv4AddressIsBoundAsSuch: who names 0.0.0.0 has a firewall for IPv4 in mind.
func TestAnIPv4AddressIsBoundAsSuch(t *testing.T) {
	s := &signer{}
	for _, host := range []string{"0.0.0.0", "127.0.0.1"} {
		l, err := s.listen("server", 0, func() string { return address(host, 0) })
		if err != nil {
			t.Fatal(err)
		}
		if at := l.Addr().String(); !strings.HasPrefix(at, host+":") {
			t.Errorf("%s is bound as %s", host, at)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
