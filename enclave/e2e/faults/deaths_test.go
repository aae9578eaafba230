//go:build linux

package faults

import (
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// resetsOfClients resets the connections between clients and the parent, in the midst of requests.
func (w *world) resetsOfClients(s *strike) {
	const resets = 20
	s.cuts = true
	for range resets {
		s.wait(rand.N(100 * time.Millisecond))
		w.resetClients()
	}
	s.note("%d resets", resets)
}

// refusedAtOnce waits until every client failed, and fails if a newcomer is held.
func (w *world) refusedAtOnce(s *strike) {
	s.Helper()
	s.bites()
	began := time.Now()
	err := w.welcome()
	if timeout, ok := err.(net.Error); err == nil || ok && timeout.Timeout() { //nolint:errorlint // as it comes from the connection
		s.Errorf("a newcomer was not refused: %v", err)
	}
	s.note("a newcomer refused within %v", time.Since(began).Round(100*time.Microsecond))
}

// parentDies is under a signer at work.
func (w *world) parentDies() {
	w.fault("the parent is killed, and started again", func(s *strike) {
		s.cuts = true
		kill(w.parent)
		w.refusedAtOnce(s)
		w.startParent()
		began := time.Now()
		w.await("readiness", w.ready)
		s.note("ready after %v", time.Since(began).Round(time.Millisecond))
	})
}

// enclaveDies is under a parent that lives.
func (w *world) enclaveDies() {
	w.fault("the enclave is killed, and started again", func(s *strike) {
		s.cuts = true
		began := time.Now()
		kill(w.signer)
		w.await("end of the parent's readiness", func() bool { return w.get(w.parentURL+"/readyz") == http.StatusServiceUnavailable })
		after := time.Since(began)
		// A parent that waits for heartbeats to stay away is ready for two of their three intervals at least.
		if after >= wire.HeartbeatLost/2 {
			s.Errorf("the parent was ready for %v without an enclave", after)
		}
		s.note("the parent is not ready after %v", after.Round(time.Millisecond))
		w.refusedAtOnce(s)
		began = time.Now()
		w.startSigner()
		w.await("readiness", w.ready)
		s.note("ready again after %v", time.Since(began).Round(time.Millisecond))
	})
}
