//go:build linux

package faults

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// entrance is what the parent counts of the listener for clients. Each listener makes pauses of its own, and others may want
// descriptors at the same time, as a route does when the signer opens a connection to its store.
func (w *world) entrance(count string) float64 {
	return w.metric(w.parentURL, fmt.Sprintf("containment_parent_%s_total{listener=%q}", count, "ingress/api"))
}

func (w *world) acceptErrors() float64 { return w.entrance("accept_errors") }

// descriptors takes all file descriptors of the parent: what is connected is served, nothing spins, and who came meanwhile is served in
// the end, or was refused.
func (w *world) descriptors(s *strike) {
	const newcomers = 100
	before, entered := w.acceptErrors(), w.entrance("connections_accepted")
	var old unix.Rlimit
	w.limitFiles(s, nil, &old)
	restore := func() { w.limitFiles(s, &old, nil) }
	defer restore()
	w.limitFiles(s, &unix.Rlimit{Cur: lowestFree(w.parent), Max: old.Max}, nil)
	began := time.Now()
	served := make(chan error, newcomers)
	for range newcomers {
		c, err := w.connect("127.0.0.1")
		if err != nil {
			s.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(limit))
		go func() { served <- upcheck(c) }()
	}
	w.await("error of accept", func() bool { return w.acceptErrors() > before })
	w.wellAgain()
	s.wait(2 * time.Second)
	lasted := time.Since(began)
	errors := w.acceptErrors() - before
	entered = w.entrance("connections_accepted") - entered
	restore()
	refused := 0
	for range newcomers {
		if err := <-served; err != nil {
			refused++
		}
	}
	s.note("%.0f errors of accept in %v; of %d newcomers %d were refused and %d served afterwards",
		errors, lasted.Round(time.Millisecond), newcomers, refused, newcomers-refused)
	// Pauses begin at 5 ms and grow by half, up to a second; one who could be accepted begins them anew.
	if most := 20 + 4*lasted.Seconds() + 20*entered; errors > most {
		s.Errorf("%.0f errors of accept in %v, want at most %.0f: it spins", errors, lasted, most)
	}
	if refused == newcomers {
		s.Error("nobody who came meanwhile was served in the end")
	}
}

// lowestFree is the number that the next file descriptor of a process gets.
func lowestFree(p *rig.Process) uint64 {
	for n := uint64(0); ; n++ {
		if _, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", p.PID(), n)); err != nil {
			return n
		}
	}
}

func (w *world) limitFiles(s *strike, limit, old *unix.Rlimit) {
	s.Helper()
	if err := unix.Prlimit(w.parent.PID(), unix.RLIMIT_NOFILE, limit, old); err != nil {
		s.Fatal(err)
	}
}
