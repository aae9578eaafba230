package launcher

import (
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStartAndStop(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			h, environment := newHost(t)
			l := start(t, environment)
			e := l.awaitRunning(t, h)
			l.awaitWords(t, 1, "EnclaveID="+e.EnclaveID+" EnclaveName=containment-chamber EnclaveCID=16 CPUs=2 MemoryMiB=5")
			l.signal(t, signal)
			l.end(t, 0)
			want := []string{
				sink + " vsock-stdout --enclave-cid 16",
				"nitro-cli run-enclave --enclave-name containment-chamber --eif-path " + environment["ENCLAVE_EIF"] + " --memory 5 --cpu-count 2 --enclave-cid 16",
				"nitro-cli terminate-enclave --enclave-id " + e.EnclaveID,
				"end of " + sink,
			}
			if diff := cmp.Diff(want, h.calls(t, sink, "nitro-cli run", "nitro-cli term", "end")); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if left := h.enclaves(t); len(left) > 0 {
				t.Errorf("left: %+v", left)
			}
		})
	}
}

func TestParentFirst(t *testing.T) {
	t.Parallel()
	h, environment := newHost(t)
	var up atomic.Bool
	asked := make(chan struct{}, 1000)
	parent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" || !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		select {
		case asked <- struct{}{}:
		default:
		}
	}))
	defer parent.Close()
	l := start(t, with(environment, "ENCLAVE_PARENT_HEALTH="+parent.URL+"/healthz"))
	for range 3 {
		<-asked
	}
	if calls := h.calls(t, ""); len(calls) > 0 {
		t.Errorf("before the parent answers it called %q", calls)
	}
	up.Store(true)
	l.awaitRunning(t, h)
	l.stop(t, h)
	if calls := h.calls(t, sink); len(calls) > 0 {
		t.Errorf("the parent has the log sink, and yet it called %q", calls)
	}
}

// TestDefaultParent has curl ask through a proxy, which sees where it would have asked: on this machine another may answer there.
func TestDefaultParent(t *testing.T) {
	t.Parallel()
	h, environment := newHost(t)
	asked := make(chan string, 1000)
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.URL.String():
		default:
		}
	}))
	defer proxy.Close()
	l := start(t, with(environment, "ENCLAVE_PARENT_HEALTH=", "http_proxy="+proxy.URL))
	l.awaitRunning(t, h)
	if got, want := <-asked, "http://127.0.0.1:3001/healthz"; got != want {
		t.Errorf("it asked %s, want %s", got, want)
	}
	l.stop(t, h)
	if calls := h.calls(t, sink); len(calls) > 0 {
		t.Errorf("the parent has the log sink, and yet it called %q", calls)
	}
}

func TestDebugMode(t *testing.T) {
	t.Parallel()
	h, environment := newHost(t)
	l := start(t, with(environment, "ENCLAVE_DEBUG=1"))
	l.awaitRunning(t, h)
	l.await(t, "the console", func() bool { return strings.Contains(l.printed(), "Linux version") })
	l.stop(t, h)
	calls := h.calls(t, "nitro-cli run", "nitro-cli console", "end of console")
	if len(calls) != 3 || !strings.HasSuffix(calls[0], " --debug-mode") || !strings.HasPrefix(calls[1], "nitro-cli console --enclave-id i-") {
		t.Errorf("calls %q", calls)
	}
}

// TestKilledLauncher is why a start looks first: what was killed could not terminate its enclave.
func TestKilledLauncher(t *testing.T) {
	t.Parallel()
	h, environment := newHost(t)
	killed := start(t, environment)
	old := killed.awaitRunning(t, h)
	if err := syscall.Kill(-killed.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed.end(t, -1)
	if left := h.enclaves(t); len(left) != 1 {
		t.Fatalf("left: %+v, want the enclave", left)
	}
	numbered := enclave{EnclaveName: "containment-chamber_1", EnclaveID: "i-1-enc1", State: "RUNNING"} // by nitro-cli, the name being taken
	stranger := enclave{EnclaveName: "containment-chamber_x", EnclaveID: "i-1-enc2", State: "RUNNING"}
	if err := h.change(func(all []enclave) []enclave { return append(all, numbered, stranger) }); err != nil {
		t.Fatal(err)
	}

	l := start(t, environment)
	l.awaitWords(t, 1, "the enclave "+old.EnclaveID+" of an earlier launcher still runs: terminating it")
	l.awaitWords(t, 1, "the enclave "+numbered.EnclaveID+" of an earlier launcher still runs: terminating it")
	l.awaitRunning(t, h, old.EnclaveID, numbered.EnclaveID, stranger.EnclaveID)
	l.signal(t, syscall.SIGTERM)
	l.end(t, 0)
	if diff := cmp.Diff([]enclave{stranger}, h.enclaves(t)); diff != "" {
		t.Errorf("left, where only the stranger should be (-want +got):\n%s", diff)
	}
	if two := h.calls(t, "TWO"); len(two) > 0 {
		t.Error("two enclaves ran")
	}
}

func TestSinkThatEnds(t *testing.T) {
	t.Parallel()
	h, environment := newHost(t)
	h.set(t, sinkEnds)
	l := start(t, environment)
	l.awaitRunning(t, h)
	l.awaitWords(t, 1, "the log sink has ended: starting it again")
	l.await(t, "the second sink", func() bool { return len(h.calls(t, sink)) == 2 })
	l.stop(t, h)
}

// order are the words that a launcher said of restarts.
func order(said string) (pauses []string) {
	for line := range strings.Lines(said) {
		if _, pause, ok := strings.Cut(line, "next start in "); ok {
			pauses = append(pauses, strings.TrimSpace(pause))
		}
	}
	return pauses
}

func TestBackOff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, steady string
		want         []string
	}{
		{"doubled and capped", "86400000", []string{"10 ms", "20 ms", "40 ms", "40 ms"}},
		{"the first again after it ran well", "1", []string{"10 ms", "10 ms", "10 ms", "10 ms"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, environment := newHost(t)
			l := start(t, with(environment, "ENCLAVE_STEADY_MS="+c.steady))
			var seen []string
			for range c.want {
				seen = append(seen, l.awaitRunning(t, h, seen...).EnclaveID)
				h.crash(t)
			}
			l.awaitRunning(t, h, seen...)
			if diff := cmp.Diff(c.want, order(l.said())); diff != "" {
				t.Errorf("pauses (-want +got):\n%s", diff)
			}
			l.stop(t, h)
		})
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy     string
		terminated bool // by nitro-cli; else it crashed
		restarts   bool
	}{
		{"", false, true},
		{"", true, true},
		{"always", true, true},
		{"on-failure", false, true},
		{"on-failure", true, false},
		{"never", false, false},
		{"never", true, false},
	} {
		name := c.policy + " crashed"
		if c.terminated {
			name = c.policy + " terminated"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, environment := newHost(t)
			l := start(t, with(environment, "ENCLAVE_RESTART="+c.policy))
			e := l.awaitRunning(t, h)
			if c.terminated {
				seenTerminating(t, l, h)
			}
			h.crash(t)
			if c.restarts {
				l.awaitRunning(t, h, e.EnclaveID)
				l.stop(t, h)
				return
			}
			l.end(t, 4)
			if calls := h.calls(t, "nitro-cli run", "end of "+sink); len(calls) != 2 {
				t.Errorf("calls %q, want one start, and the sink ended", calls)
			}
		})
	}
}

// seenTerminating has the launcher see that nitro-cli terminates the enclave.
func seenTerminating(t *testing.T, l *launcher, h host) {
	t.Helper()
	if err := h.change(func(all []enclave) []enclave {
		for i := range all {
			all[i].State = "TERMINATING"
		}
		return all
	}); err != nil {
		t.Fatal(err)
	}
	l.awaitLooks(t, h, 2)
}

// awaitLooks waits until the launcher has looked so often from now on. The look after one has begun after that was judged.
func (l *launcher) awaitLooks(t *testing.T, h host, times int) {
	t.Helper()
	before := len(h.calls(t, "nitro-cli describe"))
	l.await(t, "looks", func() bool { return len(h.calls(t, "nitro-cli describe")) > before+times })
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	t.Run("always", func(t *testing.T) {
		t.Parallel()
		h, environment := newHost(t)
		h.set(t, runFails)
		l := start(t, environment)
		l.awaitWords(t, 3, "nitro-cli run-enclave failed: [ E36 ] Enclave boot failure")
		h.unset(t, runFails)
		l.awaitRunning(t, h)
		l.stop(t, h)
		if pauses := order(l.said()); len(pauses) < 3 || !slices.Equal(pauses[:3], []string{"10 ms", "20 ms", "40 ms"}) {
			t.Errorf("pauses %q", pauses)
		}
	})
	t.Run("never", func(t *testing.T) {
		t.Parallel()
		h, environment := newHost(t)
		h.set(t, runFails)
		l := start(t, with(environment, "ENCLAVE_RESTART=never"))
		l.end(t, 4)
		if calls := h.calls(t, "nitro-cli run"); len(calls) != 1 {
			t.Errorf("calls %q", calls)
		}
	})
}
