package e2e

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
)

// gate counts the calls that go through it and holds one of them, before it is made or before it is answered. A call that was held is never
// answered.
type gate struct {
	counts *regexp.Regexp // the names of calls that are counted; others pass

	mu    sync.Mutex // held while the fields below are used
	left  int        // calls until the one that is held, 0 for none
	after bool       // it has been made
	held  chan string
	open  chan struct{}
}

// arm holds the n-th call from now on, and returns what tells which one it is.
func (g *gate) arm(n int, after bool) (held <-chan string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left, g.after, g.held, g.open = n, after, make(chan string, 1), make(chan struct{})
	return g.held
}

// release ends the call that is held, or holds none.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left = 0
	close(g.open)
}

// hold is the call that is held.
type hold struct {
	what  string
	after bool
	held  chan string
	open  chan struct{}
}

// next counts a call by its name, and returns nil for one that is not held.
func (g *gate) next(what string) *hold {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left == 0 || !g.counts.MatchString(what) {
		return nil
	}
	if g.left--; g.left > 0 {
		return nil
	}
	return &hold{what, g.after, g.held, g.open}
}

// wait tells that the call is held, until it is released.
func (h *hold) wait() {
	h.held <- h.what
	<-h.open
}

// http is a handler of calls of AWS's services, which name the operation in a header.
func (g *gate) http(to http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := g.next(r.Header.Get("X-Amz-Target"))
		if h == nil {
			to.ServeHTTP(w, r)
			return
		}
		if h.after {
			to.ServeHTTP(httptest.NewRecorder(), r)
		}
		h.wait()
		panic(http.ErrAbortHandler)
	})
}
