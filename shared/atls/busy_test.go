package atls_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// gate holds requests until they are let go, and counts connections.
type gate struct {
	mu          sync.Mutex
	inside      int // requests that have arrived
	connections map[int64]int
	open        chan struct{}
}

func newGate() *gate { return &gate{connections: map[int64]int{}, open: make(chan struct{})} }

func (g *gate) handler(_ http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.inside++
	g.connections[connectionOf(r).number]++
	g.mu.Unlock()
	select {
	case <-g.open:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler) // an answer could still arrive while the client closes
	}
}

func (g *gate) count() (inside, connections int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside, len(g.connections)
}

// TestManyRequests: over HTTP/2 all share one connection; over HTTP/1.1 they take as many as are allowed, and the others wait.
func TestManyRequests(t *testing.T) {
	var g *gate
	virtual(t, func() *signer {
		g = newGate()
		return &signer{handler: g.handler}
	}, func(t *testing.T, s *signer, rt *atls.Transport, _ *clock) {
		const requests = 20
		var all sync.WaitGroup
		for range requests {
			all.Go(func() {
				if _, err := get(t, rt, "https://signer:9443/"); err != nil {
					t.Error(err)
				}
			})
		}
		wait(time.Second)
		wantInside, wantConnections := requests, 1
		if s.h1 {
			wantInside, wantConnections = 2, 2
		}
		if inside, connections := g.count(); inside != wantInside || connections != wantConnections {
			t.Errorf("%d requests on %d connections, want %d on %d", inside, connections, wantInside, wantConnections)
		}
		close(g.open)
		all.Wait()
		if inside, connections := g.count(); inside != requests || connections != wantConnections || s.proofs.Load() != int64(wantConnections) {
			t.Errorf("%d connections, %d proofs, want %d", connections, s.proofs.Load(), wantConnections)
		}
	})
}

// TestRequestGivesUp: a request that is cancelled returns at once, whatever it waits for, and takes nothing from the others.
func TestRequestGivesUp(t *testing.T) {
	var g *gate
	virtual(t, func() *signer {
		g = newGate()
		return &signer{handler: g.handler}
	}, func(t *testing.T, _ *signer, rt *atls.Transport, _ *clock) {
		errGone := errors.New("gone")
		for range 3 {
			ctx, cancel := context.WithCancelCause(t.Context())
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://signer:9443/", nil)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				_, err := rt.RoundTrip(req)
				done <- err
			}()
			synctest.Wait()
			cancel(errGone)
			if err := <-done; !errors.Is(err, errGone) && !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		close(g.open)
		if _, err := get(t, rt, "https://signer:9443/"); err != nil {
			t.Error(err)
		}
	})
}

// TestUnusedConnection: a connection whose request gave up while it was made is there for the next one, and not for ever.
func TestUnusedConnection(t *testing.T) {
	var closed *endings
	virtual(t, func() *signer {
		closed = new(endings)
		return &signer{state: closed.watch}
	}, func(t *testing.T, s *signer, rt *atls.Transport, _ *clock) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://signer:9443/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rt.RoundTrip(req); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		wait(89 * time.Second)
		if n := closed.n.Load(); s.proofs.Load() != 1 || n != 0 {
			t.Errorf("%d proofs, %d connections closed", s.proofs.Load(), n)
		}
		wait(2 * time.Second)
		if n := closed.n.Load(); n != 1 {
			t.Errorf("%d connections closed after the idle time", n)
		}
	})
}

// TestClose ends what is under way, and what waits, and what comes.
func TestClose(t *testing.T) {
	var g *gate
	virtual(t, func() *signer {
		g = newGate()
		return &signer{handler: g.handler}
	}, func(t *testing.T, _ *signer, rt *atls.Transport, _ *clock) {
		const requests = 5
		errs := make(chan error, requests)
		for range requests {
			go func() {
				_, err := get(t, rt, "https://signer:9443/")
				errs <- err
			}()
		}
		synctest.Wait()
		rt.Close()
		for range requests {
			if err := <-errs; err == nil {
				t.Error("answered")
			}
		}
		if _, err := get(t, rt, "https://signer:9443/"); err == nil || err.Error() != "attested TLS: the transport is closed" {
			t.Errorf("after the end: %v", err)
		}
		if _, err := get(t, rt, "https://signer:9444/"); err == nil || err.Error() != "attested TLS: the transport is closed" {
			t.Errorf("another server after the end: %v", err)
		}
		rt.Close()
	})
}

// TestDialFails: all who wait for the connection learn why there is none, and the next request tries again.
func TestDialFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		errNoRoute := errors.New("no route")
		var mu sync.Mutex
		dials := 0
		rt := transport(t, map[string]atls.Options{"signer": a.options()}, func(o *atls.TransportOptions) {
			o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				mu.Lock()
				dials++
				mu.Unlock()
				select {
				case <-time.After(time.Minute):
				case <-ctx.Done():
					return nil, errors.Join(errNoRoute, ctx.Err())
				}
				return nil, errors.New("patient beyond the limit")
			}
		})
		start := time.Now()
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if _, err := get(t, rt, "https://signer:9443/"); !errors.Is(err, errNoRoute) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
			})
		}
		all.Wait()
		if dials != 1 || time.Since(start) != 10*time.Second {
			t.Errorf("%d dials in %v, want 1 in 10s", dials, time.Since(start))
		}
		if _, err := get(t, rt, "https://signer:9443/"); !errors.Is(err, errNoRoute) || dials != 2 {
			t.Errorf("again: %v, %d dials", err, dials)
		}
	})
}
