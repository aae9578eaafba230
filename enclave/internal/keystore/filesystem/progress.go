package filesystem

import (
	"sync"
	"time"
)

// Progress is how far a Load is. Keystores come last, because they take longer than all else together.
type Progress struct {
	Total  int // descriptors
	Done   int // those that gave a key or an error
	Failed int // those of them that gave an error
	// Left is how long the rest will take at the pace of the keystores so far; zero as long as there is none to judge by.
	Left time.Duration
}

// tally counts what a Load has done. It is safe for concurrent use.
type tally struct {
	mu    sync.Mutex // held while the fields below are used
	now   Progress   // but for Left
	since time.Time  // when the keystores began; zero before
	at    int        // now.Done then
}

func (t *tally) begin(total int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now, t.since, t.at = Progress{Total: total}, time.Time{}, 0
}

func (t *tally) beginKeystores() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since, t.at = time.Now(), t.now.Done
}

func (t *tally) done(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Done++
	if err != nil {
		t.now.Failed++
	}
}

func (t *tally) look() Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.now
	if opened := p.Done - t.at; !t.since.IsZero() && opened > 0 {
		p.Left = time.Duration(float64(time.Since(t.since)) / float64(opened) * float64(p.Total-p.Done))
	}
	return p
}
