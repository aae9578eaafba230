package launcher

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStopBeforeTheParent(t *testing.T) {
	t.Parallel()
	h, environment := newHost(t)
	parent := httptest.NewServer(http.NotFoundHandler())
	defer parent.Close()
	l := start(t, with(environment, "ENCLAVE_PARENT_HEALTH="+parent.URL))
	l.awaitWords(t, 1, "waiting for the parent")
	l.stop(t, h)
	if calls := h.calls(t, "nitro-cli run"); len(calls) > 0 {
		t.Errorf("it called %q", calls)
	}
}

func TestStopWhileItStarts(t *testing.T) {
	t.Parallel()
	h, environment := newHost(t)
	h.set(t, runWaits)
	l := start(t, environment)
	l.await(t, "run-enclave", func() bool { return len(h.calls(t, "nitro-cli run")) > 0 })
	l.signal(t, syscall.SIGTERM)
	h.unset(t, runWaits)
	l.end(t, 0)
	if left, calls := h.enclaves(t), h.calls(t, "nitro-cli term"); len(left) > 0 || len(calls) != 1 {
		t.Errorf("left %+v after %q", left, calls)
	}
}

func TestStopCannotTerminate(t *testing.T) {
	t.Parallel()
	h, environment := newHost(t)
	l := start(t, environment)
	l.awaitRunning(t, h)
	h.set(t, terminateFails)
	l.signal(t, syscall.SIGTERM)
	l.end(t, 1)
	if said := l.said(); !strings.Contains(said, "it may still run") || !strings.Contains(said, "E39") {
		t.Errorf("it said %q", said)
	}
}

// TestStopWhileTheStartHangs has an enclave show itself when the run-enclave that asked for it was ended already.
func TestStopWhileTheStartHangs(t *testing.T) {
	t.Parallel()
	h, environment := newHost(t)
	h.set(t, runWaits)
	h.set(t, runAppears)
	l := start(t, with(environment, "ENCLAVE_STOP_MS=500"))
	l.await(t, "run-enclave", func() bool { return len(h.calls(t, "nitro-cli run")) > 0 })
	l.stop(t, h)
	if said := l.said(); !strings.Contains(said, "SIGTERM: nitro-cli run-enclave has not ended in 500 ms: ending it") {
		t.Errorf("it said %q", said)
	}
	want := []string{"end of run-enclave", "nitro-cli terminate-enclave --enclave-id " + lateID}
	if diff := cmp.Diff(want, h.calls(t, "end of run", "nitro-cli term")); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// TestFirstProcessKilled has the second terminate the enclave, of which the first would have told it.
func TestFirstProcessKilled(t *testing.T) {
	t.Parallel()
	h, environment := newHost(t)
	l := start(t, environment)
	l.awaitRunning(t, h)
	l.signal(t, syscall.SIGKILL)
	l.awaitWords(t, 1, "no enclave runs any more")
	if left := h.enclaves(t); len(left) > 0 {
		t.Errorf("enclaves are left: %+v", left)
	}
	l.end(t, -1)
}

// TestSignalOfTheGroup is what a terminal sends, and a host that stops every process of a unit at once.
func TestSignalOfTheGroup(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			h, environment := newHost(t)
			l := start(t, with(environment, "ENCLAVE_PARENT_HEALTH=http://127.0.0.1:1"))
			l.awaitWords(t, 1, "waiting for the parent")
			if err := syscall.Kill(-l.cmd.Process.Pid, s); err != nil {
				t.Fatal(err)
			}
			l.end(t, 0)
			if left := h.enclaves(t); len(left) > 0 {
				t.Errorf("enclaves are left: %+v", left)
			}
		})
	}
}

// TestTrapsMeetNoSubstitution holds why there are two processes: where bash 5.2 reads a command substitution when a signal comes, the trap
// fails, the signal is lost, and now and then the script ends. It happens about once in a thousand signals, so the text is looked at.
func TestTrapsMeetNoSubstitution(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	trap := regexp.MustCompile(`(?m)^\s*trap '[^']+' (TERM|INT)$`).FindIndex(text)
	if trap == nil {
		t.Fatal("no trap")
	}
	if found := regexp.MustCompile("(?m)^.*([$<>]\\([^(]|`).*$").Find(text[trap[0]:]); found != nil {
		t.Errorf("with the traps set, the first process reads %q", found)
	}
}
