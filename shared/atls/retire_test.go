package atls_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

func TestConnectionEndsWithItsProof(t *testing.T) {
	virtual(t, func() *signer { return &signer{} }, func(t *testing.T, _ *signer, rt *atls.Transport, _ *clock) {
		for range 59 { // each within the idle time, and the last half a minute and a second before the end
			answers(t, rt, "1")
			wait(time.Minute)
		}
		wait(29 * time.Second)
		answers(t, rt, "1")
		wait(time.Second)
		answers(t, rt, "2")
		wait(time.Minute)
		_, err := get(t, rt, "https://signer:9443/")
		if e, ok := errors.AsType[*atls.Error](err); !ok || e.Check != atls.CheckCertificate || !strings.Contains(err.Error(), "expired") {
			t.Errorf("after the certificate's end: %v", err)
		}
	})
}

// TestRequestOutlivesNoProof: a request that is under way when the proof ends is cut off, and not before.
func TestRequestOutlivesNoProof(t *testing.T) {
	var release chan struct{}
	virtual(t, func() *signer {
		release = make(chan struct{})
		return &signer{handler: func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // until then a server does not notice that its client goes
			select {
			case <-release:
			case <-r.Context().Done():
				panic(http.ErrAbortHandler) // an answer could still arrive while the client closes
			}
		}}
	}, func(t *testing.T, _ *signer, rt *atls.Transport, _ *clock) {
		done := make(chan error, 1)
		go func() {
			done <- send(t, rt, "signer:9443") // no GET, which would be sent again
		}()
		wait(time.Hour - time.Second)
		select {
		case err := <-done:
			t.Errorf("a second before the end: %v", err)
		default:
		}
		wait(time.Second)
		select {
		case err := <-done:
			if err == nil {
				t.Error("answered")
			}
		default:
			t.Error("still under way after the proof's end")
		}
		close(release)
	})
}

// endings counts the connections that have ended, as their server sees it.
type endings struct{ n atomic.Int64 }

func (e *endings) watch(_ net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		e.n.Add(1)
	}
}

// TestRetirement: a connection without requests is closed half a minute before the end; one with requests as soon as they are answered.
func TestRetirement(t *testing.T) {
	var closed *endings
	var release chan struct{}
	virtual(t, func() *signer {
		closed, release = new(endings), make(chan struct{})
		return &signer{state: closed.watch, handler: func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/long" {
				<-release
			}
		}}
	}, func(t *testing.T, _ *signer, rt *atls.Transport, _ *clock) {
		answers(t, rt, "")
		wait(10 * time.Second)
		done := make(chan error, 1)
		go func() {
			_, err := get(t, rt, "https://signer:9443/long")
			done <- err
		}()
		wait(time.Hour - 35*time.Second)
		if n := closed.n.Load(); n != 0 {
			t.Errorf("%d connections closed under a request", n)
		}
		close(release)
		if err := <-done; err != nil {
			t.Errorf("the request that was under way: %v", err)
		}
		wait(time.Second)
		if n := closed.n.Load(); n != 1 {
			t.Errorf("%d connections closed after the last request, want 1", n)
		}
	})
}

// TestRetirementWaitsForAll: the first of two requests that ends takes no connection from the other.
func TestRetirementWaitsForAll(t *testing.T) {
	var release map[string]chan struct{}
	virtual(t, func() *signer {
		release = map[string]chan struct{}{"/a": make(chan struct{}), "/b": make(chan struct{})}
		return &signer{handler: func(_ http.ResponseWriter, r *http.Request) { <-release[r.URL.Path] }}
	}, func(t *testing.T, _ *signer, rt *atls.Transport, _ *clock) {
		done := make(chan error, 2)
		for path := range release {
			go func() { done <- post(t, rt, "https://signer:9443"+path) }()
		}
		wait(time.Hour - 20*time.Second) // no new ones any more
		for _, path := range []string{"/a", "/b"} {
			close(release[path])
			if err := <-done; err != nil {
				t.Errorf("%s: %v", path, err)
			}
			wait(time.Second)
		}
	})
}

// post sends what is not sent again.
func post(t *testing.T, rt http.RoundTripper, url string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("body"))
	if err != nil {
		t.Error(err)
		return err
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// TestIdleRetirement: it need not be asked for anything to be closed.
func TestIdleRetirement(t *testing.T) {
	var closed *endings
	virtual(t, func() *signer {
		closed = new(endings)
		return &signer{state: closed.watch}
	}, func(t *testing.T, _ *signer, rt *atls.Transport, _ *clock) {
		for range 59 {
			answers(t, rt, "1")
			wait(time.Minute)
		}
		answers(t, rt, "1")
		wait(29 * time.Second)
		before := closed.n.Load()
		wait(time.Second)
		if after := closed.n.Load(); before != 0 || after != 1 {
			t.Errorf("%d closed before, %d at half a minute before the end", before, after)
		}
	})
}

// TestSleepingMachine: the clock has gone on, timers have not.
func TestSleepingMachine(t *testing.T) {
	virtual(t, func() *signer { return &signer{} }, func(t *testing.T, _ *signer, rt *atls.Transport, c *clock) {
		answers(t, rt, "1")
		c.jump(time.Hour - 31*time.Second)
		answers(t, rt, "1")
		c.jump(time.Hour - 30*time.Second)
		answers(t, rt, "2")
	})
}
