package launcher

import (
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBlind holds that an enclave is not taken for dead because nitro-cli does not tell.
func TestBlind(t *testing.T) {
	t.Parallel()
	for _, how := range []string{describeFails, describeBabbles} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			h, environment := newHost(t)
			l := start(t, environment)
			e := l.awaitRunning(t, h)
			h.set(t, how)
			l.awaitLooks(t, h, 5)
			if want := "nothing of the enclave: [ E39 ] Enclave process connection failure."; how == describeFails && !strings.Contains(l.said(), want) {
				t.Errorf("it said %q, want the line with the code", l.said())
			}
			h.unset(t, how)
			l.awaitWords(t, 1, "answers again")
			if said := l.said(); strings.Count(said, "which says nothing of the enclave") != 1 {
				t.Errorf("it has to say once that it sees nothing: %s", said)
			}
			if diff := cmp.Diff([]enclave{e}, h.enclaves(t)); diff != "" {
				t.Errorf("enclaves (-before +after):\n%s", diff)
			}
			l.stop(t, h)
			if calls := h.calls(t, "nitro-cli run", "nitro-cli term"); len(calls) != 2 {
				t.Errorf("calls %q, want one start and one end", calls)
			}
		})
	}
	t.Run(describeMisses, func(t *testing.T) {
		t.Parallel()
		h, environment := newHost(t)
		l := start(t, environment)
		l.awaitRunning(t, h)
		for range 3 {
			h.set(t, describeMisses)
			l.await(t, "a look that misses", func() bool { return !h.is(describeMisses) })
			l.awaitLooks(t, h, 2)
		}
		l.stop(t, h)
		if calls := h.calls(t, "nitro-cli run"); len(calls) != 1 {
			t.Errorf("calls %q, want one start", calls)
		}
	})
	t.Run("before the start", func(t *testing.T) {
		t.Parallel()
		h, environment := newHost(t)
		h.set(t, describeFails)
		l := start(t, environment)
		l.awaitWords(t, 2, "nothing is started before it tells what runs")
		if calls := h.calls(t, "nitro-cli run"); len(calls) > 0 {
			t.Errorf("calls %q", calls)
		}
		h.unset(t, describeFails)
		l.awaitRunning(t, h)
		l.stop(t, h)
	})
	t.Run("at the stop", func(t *testing.T) {
		t.Parallel()
		h, environment := newHost(t)
		l := start(t, environment)
		e := l.awaitRunning(t, h)
		h.set(t, describeFails)
		l.signal(t, syscall.SIGTERM)
		l.end(t, 1)
		if calls := h.calls(t, "nitro-cli term"); len(calls) == 0 || calls[0] != "nitro-cli terminate-enclave --enclave-id "+e.EnclaveID {
			t.Errorf("calls %q, want that it tries at least", calls)
		}
	})
}
