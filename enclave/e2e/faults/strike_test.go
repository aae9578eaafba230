//go:build linux

package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// strike is a fault while it lasts.
type strike struct {
	*testing.T
	w     *world
	began time.Time
	notes []string
	cuts  bool // clients may lose connections
}

// fault has something happen as often as was asked for, and prints what was seen. happen strikes and heals; afterwards every client
// must be served again with nothing restarted but what the fault itself ended, and both processes must hold no more than before.
func (w *world) fault(name string, happen func(s *strike)) {
	if w.t.Failed() {
		return // what is broken already tells nothing
	}
	w.t.Run(name, func(t *testing.T) {
		w.now = t
		defer func() { w.now = w.t }()
		all := tally{answers: map[answer]int{}}
		var slowest time.Duration
		var s *strike
		for range *rounds {
			var seen tally
			var recovery time.Duration
			s, seen, recovery = w.round(t, happen)
			all.add(seen)
			slowest = max(slowest, recovery)
		}
		t.Logf("%s (%d×) → %v; recovery within %v; %s", name, *rounds, all, slowest.Round(time.Millisecond), strings.Join(s.notes, "; "))
	})
}

func (w *world) round(t *testing.T, happen func(s *strike)) (s *strike, seen tally, recovery time.Duration) {
	t.Helper()
	w.wellAgain()
	before := w.holds()
	w.book.turn()
	s = &strike{T: t, w: w, began: time.Now()}
	happen(s)
	healed := time.Now()
	w.wellAgain()
	recovery = time.Since(healed)
	seen = w.book.turn()
	if n := seen.answers[cut]; n > 0 && !s.cuts {
		t.Errorf("%d requests were cut off", n)
	}
	if n := seen.answers[expired]; n > 0 {
		t.Errorf("%d requests got no answer until their deadline", n)
	}
	after := w.holds()
	w.await("end of what the fault left behind", func() bool {
		after = w.holds()
		return after.within(before)
	})
	select {
	case <-w.parent.Done():
		t.Fatal("the parent ended by itself")
	case <-w.signer.Done():
		t.Fatal("the signer ended by itself")
	default:
	}
	s.note("before: %v; after: %v", before, after)
	return s, seen, recovery
}

// note adds to what is printed.
func (s *strike) note(format string, values ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, values...))
}

// bites waits until every client that asks for votes was told that none can be had.
func (s *strike) bites() {
	s.Helper()
	s.w.each(1, "request that fails", unlucky)
}

// wellAgain waits until every client has answers to requests that were not under way before.
func (w *world) wellAgain() {
	w.now.Helper()
	w.each(2, "signature", lucky)
}
