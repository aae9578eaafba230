package atls_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// TestLostRequests: what was lost after it was sent is sent again only if that does no harm, and if it can be read again.
func TestLostRequests(t *testing.T) {
	text := func() io.Reader { return strings.NewReader("body") }
	for name, test := range map[string]struct {
		method  string
		body    func() io.Reader
		header  http.Header
		losses  int64 // of the first ones that arrive
		arrives int64
	}{
		"GET":                  {http.MethodGet, text, nil, 1, 2},
		"GET without a body":   {http.MethodGet, func() io.Reader { return nil }, nil, 1, 2},
		"GET, empty":           {http.MethodGet, func() io.Reader { return http.NoBody }, nil, 1, 2},
		"GET, lost twice":      {http.MethodGet, text, nil, 2, 3},
		"GET, lost for ever":   {http.MethodGet, text, nil, 9, 3},
		"POST":                 {http.MethodPost, text, nil, 1, 1},
		"POST that may repeat": {http.MethodPost, text, http.Header{"Idempotency-Key": nil}, 1, 2},
		"stream":               {http.MethodPost, func() io.Reader { return io.MultiReader(text()) }, http.Header{"Idempotency-Key": nil}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var arrived *atomic.Int64
			virtual(t, func() *signer {
				arrived = new(atomic.Int64)
				return &signer{handler: func(_ http.ResponseWriter, r *http.Request) {
					if arrived.Add(1) <= test.losses {
						connectionOf(r).Close()
						panic(http.ErrAbortHandler)
					}
				}}
			}, func(t *testing.T, _ *signer, rt *atls.Transport, _ *clock) {
				err := sendOnce(t.Context(), t, rt, test.method, test.body(), test.header)
				if n := arrived.Load(); n != test.arrives || (err == nil) != (n > test.losses) {
					t.Errorf("%d requests arrived, want %d, error %v", n, test.arrives, err)
				}
			})
		})
	}
}

func sendOnce(ctx context.Context, t *testing.T, rt http.RoundTripper, method string, body io.Reader, header http.Header) error {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "https://signer:9443/", body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := rt.RoundTrip(req)
	if err == nil {
		err = res.Body.Close()
	}
	return err
}

// TestLostAndGivenUp: nobody waits any more for what was lost.
func TestLostAndGivenUp(t *testing.T) {
	var arrived *atomic.Int64
	var giveUp context.CancelFunc
	virtual(t, func() *signer {
		arrived = new(atomic.Int64)
		return &signer{handler: func(_ http.ResponseWriter, r *http.Request) {
			arrived.Add(1)
			giveUp()
			connectionOf(r).Close()
			panic(http.ErrAbortHandler)
		}}
	}, func(t *testing.T, _ *signer, rt *atls.Transport, _ *clock) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		giveUp = cancel
		if err := sendOnce(ctx, t, rt, http.MethodGet, nil, nil); err == nil || arrived.Load() != 1 {
			t.Errorf("%d requests arrived, %v", arrived.Load(), err)
		}
	})
}

// TestAnswerNotLost: a server that breaks one request off and keeps the connection meant that one.
func TestAnswerNotLost(t *testing.T) {
	var arrived *atomic.Int64
	virtual(t, func() *signer {
		arrived = new(atomic.Int64)
		return &signer{handler: func(http.ResponseWriter, *http.Request) {
			arrived.Add(1)
			panic(http.ErrAbortHandler)
		}}
	}, func(t *testing.T, s *signer, rt *atls.Transport, _ *clock) {
		want := int64(1)
		if s.h1 { // there the connection is all that can be broken off
			want = 3
		}
		if err := sendOnce(t.Context(), t, rt, http.MethodGet, nil, nil); err == nil || arrived.Load() != want {
			t.Errorf("%d requests arrived, want %d, %v", arrived.Load(), want, err)
		}
	})
}

// closing is a body that tells whether it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

// TestBodyIsClosed, as of every RoundTripper, of a request that goes nowhere.
func TestBodyIsClosed(t *testing.T) {
	a := newAuthority(t)
	rt := transport(t, map[string]atls.Options{"signer": a.options()})
	for _, address := range []string{"https://other:9443/", "http://signer:9443/"} {
		body := &closing{Reader: strings.NewReader("body")}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, body)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rt.RoundTrip(req); err == nil || !body.closed {
			t.Errorf("%s: %v, closed %v", address, err, body.closed)
		}
	}
	if _, err := rt.RoundTrip((&http.Request{Method: http.MethodGet}).WithContext(t.Context())); err == nil || !strings.Contains(err.Error(), "no https URL") {
		t.Errorf("without a URL: %v", err)
	}
}
