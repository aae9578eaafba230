package atls

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// errClosed is the answer of a Transport that was closed.
var errClosed = errors.New("attested TLS: the transport is closed")

// pool keeps the connections to one server.
type pool struct {
	server  *server
	most    int           // connections
	patient time.Duration // with a dial
	idle    time.Duration

	dialing sync.WaitGroup
	mu      sync.Mutex
	conns   []*conn            // open; the first that has room is taken, so that the last ones fall idle
	dials   map[*dial]struct{} // under way
	shared  *dial              // the one under way that several wait for; nil if there is none
	single  bool               // the last connection carried one request at a time
	closed  bool
	changed chan struct{} // closed and replaced whenever a connection may have room
}

// dial is a connection that is being made.
type dial struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed
}

func newPool(s *server, o TransportOptions) *pool {
	return &pool{
		server: s, most: o.MaxConnections, patient: o.DialTimeout, idle: o.IdleTimeout,
		dials: map[*dial]struct{}{}, changed: make(chan struct{}),
	}
}

// acquire reserves a place for one request on a connection. It waits while there is none and as many connections as allowed are open.
func (p *pool) acquire(ctx context.Context) (*conn, error) {
	var mine *dial
	for {
		p.mu.Lock()
		conns, changed, closed := slices.Clone(p.conns), p.changed, p.closed
		p.mu.Unlock()
		if closed {
			return nil, errClosed
		}
		for _, c := range conns {
			if c.reserve() {
				return c, nil
			}
		}
		if mine == nil {
			mine = p.dial(ctx)
		}
		var done chan struct{}
		if mine != nil {
			done = mine.done
		}
		select {
		case <-changed:
		case <-done:
			if mine.err != nil {
				return nil, mine.err
			}
			mine = nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// dial begins to make a connection, or joins in waiting for one that can carry several requests; nil if there is room for no more. It is
// not ended with the request: who comes next has use for the connection.
func (p *pool) dial(ctx context.Context) *dial {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shared != nil {
		return p.shared
	}
	if p.closed || len(p.dials)+len(p.conns) >= p.most {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.patient)
	d := &dial{cancel: cancel, done: make(chan struct{})}
	p.dials[d] = struct{}{}
	if !p.single {
		p.shared = d
	}
	p.dialing.Go(func() {
		defer cancel()
		p.finish(ctx, d)
	})
	return d
}

// finish makes the connection of a dial.
func (p *pool) finish(ctx context.Context, d *dial) {
	defer close(d.done)
	made, err := p.server.connect(ctx)
	var c *conn
	if err == nil {
		c = &conn{pool: p, http: made.http, retires: made.peer.NotAfter}
		made.http.SetStateHook(c.stateChanged)
	}
	p.mu.Lock()
	delete(p.dials, d)
	if p.shared == d {
		p.shared = nil
	}
	d.err = err
	if c != nil {
		p.single = !made.multiplexed()
		p.conns = append(p.conns, c)
		c.start()
	}
	p.wake()
	closed := p.closed
	p.mu.Unlock()
	if c != nil && (closed || c.http.Err() != nil) { // it may have ended before it stood in the pool
		c.close()
	}
}

// wake lets all who wait look again. The mutex is held.
func (p *pool) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pool) open() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.conns)
}

// close ends everything, and returns when it has ended.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for d := range p.dials {
		d.cancel()
	}
	p.wake()
	p.mu.Unlock()
	p.dialing.Wait()
	for _, c := range p.open() {
		c.close()
	}
}
