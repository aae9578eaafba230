// Package e2e tests the product's binaries as a whole, from outside.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// binaries is the directory of the built binaries, made by TestMain.
var binaries string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "cc")
	if err == nil {
		binaries = dir
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the binaries under test:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// build makes every binary as the Makefile does, each module alone.
func build(dir string) error {
	for _, b := range []struct{ module, path string }{
		{"..", "./cmd/containment-chamber"},
		{"..", "./e2e/demo"},
		{"..", "./e2e/kmsd"},
		{"../../parent", "./cmd/containment-chamber-enclave-proxy"},
	} {
		cmd := exec.Command("go", "build", "-trimpath", "-o", dir+string(filepath.Separator), b.path)
		cmd.Dir = b.module
		cmd.Env = append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", b.path, err, out)
		}
	}
	return nil
}

// process is a running binary under test.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	done chan struct{}

	mu     sync.Mutex // held while output or more changes or is read
	output bytes.Buffer
	more   chan struct{} // closed and replaced when a line comes
}

// start runs a binary until the test ends.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	return startIn(t, "", nil, name, args...)
}

// startIn runs a binary in a directory, with more environment variables, until the test ends.
func startIn(t *testing.T, dir string, extra []string, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, done: make(chan struct{}), more: make(chan struct{})}
	p.cmd = exec.Command(filepath.Join(binaries, name), args...)
	p.cmd.Dir, p.cmd.Env = dir, environment(extra...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = w, w
	err = p.cmd.Start()
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go p.read(r)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		keepSecrets(t, name, p.text())
		if t.Failed() {
			t.Logf("output of %s:\n%s", name, p.text())
		}
	})
	return p
}

// environment is this process's without what would configure the product.
func environment(extra ...string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "CONTAINMENT_") && !strings.HasPrefix(e, "PRODUCTION=") {
			env = append(env, e)
		}
	}
	return append(env, extra...)
}

func (p *process) read(r *os.File) {
	defer close(p.done)
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		p.mu.Lock()
		p.output.Write(line)
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
		if err != nil {
			break
		}
	}
	_ = r.Close()
	_ = p.cmd.Wait()
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// await waits until the output holds a text.
func (p *process) await(want string) {
	p.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		p.mu.Lock()
		found, more := strings.Contains(p.output.String(), want), p.more
		p.mu.Unlock()
		if found {
			return
		}
		select {
		case <-more:
		case <-p.done:
			if !strings.Contains(p.text(), want) {
				p.t.Fatalf("%s ended without writing %q", p.name, want)
			}
			return
		case <-limit:
			p.t.Fatalf("%s did not write %q within 30 s", p.name, want)
		}
	}
}

// terminate sends SIGTERM and returns the exit code.
func (p *process) terminate() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	return p.wait()
}

// wait returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		p.t.Fatalf("%s did not end within 30 s", p.name)
		return -1
	}
}

// freePorts finds TCP ports that nobody listens on.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	ports, err := rig.FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

// call makes one HTTP request and returns status and body.
func call(t *testing.T, client *http.Client, method, url, body string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// awaitReady waits until the signer says that it is ready.
func awaitReady(t *testing.T, client *http.Client, url string, p *process) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(60 * time.Second)
	last := ""
	for {
		res, err := client.Get(url + "/readyz")
		if err == nil {
			body, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
			last = string(body)
		}
		select {
		case <-tick.C:
		case <-p.done:
			t.Fatalf("%s ended before it was ready", p.name)
		case <-limit:
			t.Fatalf("not ready within 60 s: %s", last)
		}
	}
}

func newClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
