package atls

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// retireBefore is how long before its proof ends a connection takes no more requests, so that those under way can end; at most a
// tenth of what is left at its beginning.
const retireBefore = 30 * time.Second

// conn is a verified connection in a pool.
type conn struct {
	pool    *pool
	http    *http.ClientConn
	retires time.Time // takes no new requests from then on; until start it is when the proof ends
	retired atomic.Bool
	// calls are the round trips that have not returned. Package http counts a request as done when its answer has arrived, which may be
	// before the caller has it, and a connection that is closed between the two takes the answer along.
	calls atomic.Int64

	// The pool's mutex guards these. They are nil until start.
	idle, retire, end *time.Timer
}

// start sets the timers. The pool's mutex is held.
func (c *conn) start() {
	left := c.retires.Sub(c.pool.server.verifier.Now())
	last := min(retireBefore, left/10)
	c.retires = c.retires.Add(-last)
	c.idle = time.AfterFunc(c.pool.idle, c.closeIfIdle)
	c.retire = time.AfterFunc(left-last, c.discard)
	c.end = time.AfterFunc(left, c.close)
}

// reserve takes a place for one request. It looks at the clock too: timers stand still while a machine sleeps.
func (c *conn) reserve() bool {
	if c.retired.Load() || !c.pool.server.verifier.Now().Before(c.retires) {
		return false
	}
	c.calls.Add(1)
	if c.http.Reserve() != nil {
		c.returned()
		return false
	}
	return true
}

// roundTrip uses a place that was reserved.
func (c *conn) roundTrip(req *http.Request) (*http.Response, error) {
	defer c.returned()
	return c.http.RoundTrip(req)
}

func (c *conn) returned() {
	c.calls.Add(-1)
	if c.retired.Load() {
		c.closeIfIdle()
	}
}

// discard keeps new requests away, and closes the connection as soon as there are none.
func (c *conn) discard() {
	c.retired.Store(true)
	c.closeIfIdle()
}

func (c *conn) closeIfIdle() {
	if c.calls.Load() == 0 && c.http.InFlight() == 0 {
		c.close()
	}
}

// close interrupts what is under way.
func (c *conn) close() {
	_ = c.http.Close() // of a connection that is given up
	c.gone()
}

// stateChanged is called when a request ends and when the connection does.
func (c *conn) stateChanged(*http.ClientConn) {
	switch {
	case c.http.Err() != nil:
		c.gone()
		return
	case c.retired.Load():
		c.closeIfIdle()
		return
	}
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	if c.idle != nil {
		c.idle.Reset(c.pool.idle) // closeIfIdle looks again whether it is idle
	}
	c.pool.wake()
}

// gone takes a connection that was closed out of the pool.
func (c *conn) gone() {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	if i := slices.Index(c.pool.conns, c); i >= 0 {
		c.pool.conns = slices.Delete(c.pool.conns, i, i+1)
	}
	for _, timer := range []*time.Timer{c.idle, c.retire, c.end} {
		if timer != nil {
			timer.Stop()
		}
	}
	c.pool.wake()
}
