package atls_test

import (
	"context"
	"net"
	"net/http"
	"strings"
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
		answers(t, rt, "1")
		for _, c := range open {
			c.Close()
		}
		synctest.Wait()
		answers(t, rt, "2")
	})
}

// TestLostRequests: what was lost after it was sent is sent again only if that does no harm.
func TestLostRequests(t *testing.T) {
	for name, test := range map[string]struct {
		method string
		header http.Header
		want   int // requests that arrive
	}{
		"GET":                  {http.MethodGet, nil, 2},
		"POST":                 {http.MethodPost, nil, 1},
		"POST that may repeat": {http.MethodPost, http.Header{"Idempotency-Key": nil}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			arrived := 0
			virtual(t, func() *signer {
				arrived = 0
				return &signer{handler: func(_ http.ResponseWriter, r *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					if arrived++; arrived == 1 {
						connectionOf(r).Close()
						panic(http.ErrAbortHandler)
					}
				}}
			}, func(t *testing.T, _ *signer, rt *atls.Transport, _ *clock) {
				req, err := http.NewRequestWithContext(t.Context(), test.method, "https://signer:9443/", strings.NewReader("body"))
				if err != nil {
					t.Fatal(err)
				}
				for name, values := range test.header {
					req.Header[name] = values
				}
				res, err := rt.RoundTrip(req)
				if err == nil {
					res.Body.Close()
				}
				mu.Lock()
				defer mu.Unlock()
				if arrived != test.want || (err == nil) != (test.want > 1) {
					t.Errorf("%d requests arrived, want %d, error %v", arrived, test.want, err)
				}
			})
		})
	}
}
