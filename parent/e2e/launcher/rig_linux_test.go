// Package launcher tests scripts/enclave-entrypoint.sh, which runs the enclave.
package launcher

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what has to come, and tick how often it looks.
const (
	patience = 60 * time.Second
	tick     = 5 * time.Millisecond
)

const script = "../../../scripts/enclave-entrypoint.sh"

// eifSize is of the image that tests start: four times that is a little more than 4 MiB.
const eifSize = 1<<20 + 1

// launcher is one run of the script.
type launcher struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu             sync.Mutex // held while the outputs are written or read
	stdout, stderr bytes.Buffer
}

// newHost makes a host with nothing on it, and the variables of an environment in which the launcher starts an enclave there.
func newHost(t *testing.T) (host, map[string]string) {
	t.Helper()
	for _, program := range []string{"bash", "jq", "curl", "timeout", "flock"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: on Debian, apt-get install bash jq curl coreutils util-linux", err)
		}
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nitro-cli", sink} {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	eif := filepath.Join(dir, "enclave.eif")
	if err := os.WriteFile(eif, make([]byte, eifSize), 0o600); err != nil {
		t.Fatal(err)
	}
	return host(dir), map[string]string{
		"PATH": bin + ":" + os.Getenv("PATH"), hostVariable: dir, "ENCLAVE_DEVICE": os.DevNull, "ENCLAVE_EIF": eif,
		"ENCLAVE_MEMORY_MIB": "5", "ENCLAVE_CPU_COUNT": "2", "ENCLAVE_POLL_MS": "50", "ENCLAVE_BACKOFF_MS": "10", "ENCLAVE_BACKOFF_MAX_MS": "40",
		"ENCLAVE_PARENT_HEALTH":  "",
		"GORACE":                 "atexit_sleep_ms=0", // under the race detector each stand-in would take a second to exit
		"NITRO_CLI_SOCKETS_PATH": filepath.Join(dir, "sockets"), "NITRO_CLI_LOGS_PATH": filepath.Join(dir, "logs"),
	}
}

// start runs the script. What the test leaves running is killed.
func start(t *testing.T, environment map[string]string) *launcher {
	t.Helper()
	l := &launcher{cmd: exec.Command(script), done: make(chan struct{})}
	for name, value := range environment {
		l.cmd.Env = append(l.cmd.Env, name+"="+value)
	}
	l.cmd.Stdout, l.cmd.Stderr = writer{l, &l.stdout}, writer{l, &l.stderr}
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	l.cmd.WaitDelay = time.Second // after SIGKILL, what it had started still holds the outputs
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = l.cmd.Wait()
		close(l.done)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-l.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		<-l.done
	})
	return l
}

// writer is one output of a launcher.
type writer struct {
	l  *launcher
	to *bytes.Buffer
}

func (w writer) Write(p []byte) (int, error) {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	return w.to.Write(p)
}

func (l *launcher) said() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stderr.String()
}

func (l *launcher) printed() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stdout.String()
}

// await waits until a condition holds.
func (l *launcher) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for late := time.After(patience); !holds(); {
		select {
		case <-time.After(tick):
		case <-late:
			t.Fatalf("still waiting for %s; the launcher said:\n%s", what, l.said())
		}
	}
}

// awaitWords waits until the words were said so often.
func (l *launcher) awaitWords(t *testing.T, times int, words string) {
	t.Helper()
	l.await(t, "the words "+words, func() bool { return strings.Count(l.said(), words) >= times })
}

// awaitRunning waits for an enclave that is not one of these, and returns it.
func (l *launcher) awaitRunning(t *testing.T, h host, not ...string) (running enclave) {
	t.Helper()
	l.await(t, "an enclave", func() bool {
		for _, e := range h.enclaves(t) {
			if !slices.Contains(not, e.EnclaveID) {
				running = e
			}
		}
		return running.EnclaveID != "" && strings.Contains(l.said(), "started EnclaveID="+running.EnclaveID)
	})
	return running
}

func (l *launcher) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := l.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// end waits for the exit code.
func (l *launcher) end(t *testing.T, want int) {
	t.Helper()
	select {
	case <-l.done:
	case <-time.After(patience):
		t.Fatalf("did not end; it said:\n%s", l.said())
	}
	if got := l.cmd.ProcessState.ExitCode(); got != want {
		t.Errorf("exit code %d, want %d; it said:\n%s", got, want, l.said())
	}
}

// stop has it stop, with no enclave left, and never two before.
func (l *launcher) stop(t *testing.T, h host) {
	t.Helper()
	l.signal(t, syscall.SIGTERM)
	l.end(t, 0)
	if left := h.enclaves(t); len(left) > 0 {
		t.Errorf("enclaves are left: %+v", left)
	}
	if held := h.calls(t, "HOLDS"); len(held) > 0 {
		t.Errorf("programs got the launcher's lock; calls:\n%s", strings.Join(h.calls(t, ""), "\n"))
	}
	if two := h.calls(t, "TWO"); len(two) > 0 {
		t.Errorf("two enclaves ran; calls:\n%s", strings.Join(h.calls(t, ""), "\n"))
	}
}
