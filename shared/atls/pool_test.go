package atls_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// pipes is a listener whose connections are pipes, for tests in virtual time.
type pipes struct {
	made   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{made: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "signer:9443" }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.made <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// virtual runs a test in virtual time, over each version of HTTP. The signer's certificate ends after an hour.
func virtual(t *testing.T, make func() *signer, test func(t *testing.T, s *signer, rt *atls.Transport, clock *clock)) {
	a := newAuthority(t)
	both(t, func(t *testing.T, h1 bool) {
		synctest.Test(t, func(t *testing.T) {
			farewell(t)
			s, listener, c := make(), newPipes(), &clock{start: time.Now()}
			s.authority, s.h1, s.now = a, h1, c.now
			s.serve(t, listener)
			o := a.perConnection()
			o.Now = c.now
			rt := transport(t, map[string]atls.Options{"signer": o}, func(o *atls.TransportOptions) {
				o.Dial, o.MaxConnections = listener.dial, 2
			})
			test(t, s, rt, c)
		})
	})
}

// clock is the clients' wall clock, which begins at the time of all documents. A jump does not move timers.
type clock struct {
	start time.Time
	ahead atomic.Int64 // nanoseconds
}

func (c *clock) now() time.Time {
	return now.Add(time.Since(c.start) + time.Duration(c.ahead.Load()))
}

func (c *clock) jump(d time.Duration) { c.ahead.Store(int64(d)) }

// farewell lets virtual time pass after all other clean-ups: two ends of a pipe that both close TLS wait 5 s for each other.
func farewell(t *testing.T) { t.Cleanup(func() { wait(10 * time.Second) }) }

// wait lets virtual time pass.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// answers fails unless the request is answered over the connection of this number.
func answers(t *testing.T, rt http.RoundTripper, want string) {
	t.Helper()
	if body, err := get(t, rt, "https://signer:9443/"); err != nil || body != want {
		t.Errorf("answer of connection %q, %v, want %q", body, err, want)
	}
}

func TestIdleConnections(t *testing.T) {
	virtual(t, func() *signer { return &signer{} }, func(t *testing.T, _ *signer, rt *atls.Transport, _ *clock) {
		answers(t, rt, "1")
		wait(89 * time.Second)
		answers(t, rt, "1")
		wait(89 * time.Second)
		answers(t, rt, "1")
		wait(91 * time.Second)
		answers(t, rt, "2")
		rt.CloseIdleConnections()
		answers(t, rt, "3")
	})
}

// TestServerCloses: a connection that the server has closed meanwhile is noticed before it is used.
func TestServerCloses(t *testing.T) {
	var open []net.Conn
	virtual(t, func() *signer {
		open = nil
		return &signer{state: func(c net.Conn, state http.ConnState) {
			if state == http.StateActive {
				open = append(open, c)
			}
		}}
	}, func(t *testing.T, _ *signer, rt *atls.Transport, _ *clock) {
		begun := time.Now()
		for _, number := range []string{"1", "2", "3", "4"} { // more than may be open at once
			answers(t, rt, number)
			for _, c := range open {
				c.Close()
			}
			synctest.Wait()
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("waited %v for connections that were gone", took)
		}
	})
}

// TestAnswersInFull: a connection with an answer that is still being read is not idle, and is closed afterwards if its time has come.
func TestAnswersInFull(t *testing.T) {
	var closed *endings
	var release chan struct{}
	virtual(t, func() *signer {
		closed, release = new(endings), make(chan struct{})
		return &signer{state: closed.watch, handler: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half ")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-release:
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, "whole")
		}}
	}, func(t *testing.T, _ *signer, rt *atls.Transport, _ *clock) {
		body := make(chan string)
		go func() {
			text, err := get(t, rt, "https://signer:9443/")
			if err != nil {
				t.Error(err)
			}
			body <- text
		}()
		wait(10 * time.Minute) // longer than an idle connection is kept
		rt.CloseIdleConnections()
		wait(50*time.Minute - 20*time.Second) // half a minute before the proof's end has passed
		close(release)
		if got := <-body; got != "half whole" {
			t.Errorf("got %q", got)
		}
		wait(time.Second)
		if n := closed.n.Load(); n != 1 {
			t.Errorf("%d connections closed after the answer, want 1", n)
		}
	})
}
