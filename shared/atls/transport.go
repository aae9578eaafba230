package atls

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// TransportOptions say which servers a [Transport] talks to, and how.
type TransportOptions struct {
	// Servers are those that it talks to, by their host in a URL: name:port, or the name alone for any port that is not named itself.
	Servers map[string]Options
	// Dial opens connections; nil is TCP from this machine.
	Dial DialFunc
	// DialTimeout bounds dialing, handshake and proof together; 0 is 10 s.
	DialTimeout time.Duration
	// IdleTimeout is how long a connection without a request is kept; 0 is 90 s.
	IdleTimeout time.Duration
	// MaxConnections is how many connections a server gets at most, after which requests wait for one; 0 is 64. One of HTTP/2 carries many
	// requests at once.
	MaxConnections int
}

// Transport sends requests to attested servers alone: an [http.RoundTripper] for an [http.Client] or a reverse proxy. It speaks
// HTTP/2 with servers that do, else HTTP/1.1. No request goes over a connection before everything that the server's
// policy demands was verified on it. A connection takes no new requests shortly before its [Peer]'s NotAfter, and is closed then, with
// all that is still under way. It is safe for concurrent use.
type Transport struct {
	options   TransportOptions
	verifiers map[string]*verifier

	mu     sync.Mutex
	pools  map[string]*pool // by host and port
	closed bool
}

// NewTransport checks the options of all servers. The error names the server.
func NewTransport(o TransportOptions) (*Transport, error) {
	if len(o.Servers) == 0 {
		return nil, errors.New("attested TLS: no server is named")
	}
	o.DialTimeout = cmp.Or(o.DialTimeout, 10*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 90*time.Second)
	o.MaxConnections = cmp.Or(o.MaxConnections, 64)
	t := &Transport{options: o, verifiers: map[string]*verifier{}, pools: map[string]*pool{}}
	for host, options := range o.Servers {
		v, err := newVerifier(options, false)
		if err != nil {
			return nil, fmt.Errorf("server %s: %w", host, err)
		}
		t.verifiers[host] = v
	}
	return t, nil
}

// maxTries is how often a request is sent at most, if connections are lost before it is on its way.
const maxTries = 3

// RoundTrip implements [http.RoundTripper]. The error is an [*Error] if the server was refused; one that could give no proof at this time is
// not refused, and the error is ErrNotFetched. A request that was lost
// with its connection is sent again over another if nothing of it was sent, if it does nothing but read (RFC 9110, section 9.2.1), or if
// its header has an entry Idempotency-Key.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	p, err := t.pool(req.URL)
	if err != nil {
		return nil, refused(req, err)
	}
	for try := 1; ; try++ {
		c, err := p.acquire(req.Context())
		if err != nil {
			return nil, refused(req, err)
		}
		var sent atomic.Bool // the hook may run when the request has failed already
		trace := &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}
		res, err := c.roundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
		if err == nil {
			return res, nil
		}
		lost := c.http.Available() == 0
		again, ok := rewind(req)
		if !lost || !ok || try == maxTries || req.Context().Err() != nil || sent.Load() && !repeatable(req) {
			return nil, refused(req, err)
		}
		c.discard()
		req = again
	}
}

// refused closes the body, as a RoundTripper must.
func refused(req *http.Request, err error) error {
	if req.Body != nil {
		_ = req.Body.Close() // it will not be read
	}
	return err
}

// rewind makes a request whose body can be read from its beginning.
func rewind(req *http.Request) (*http.Request, bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, false
	}
	again := *req
	again.Body = body
	return &again, true
}

// repeatable tells whether it does no harm to send a request twice: because it only reads, or because the caller says so with an entry
// Idempotency-Key in the header, as package http has it; one without values is not sent.
func repeatable(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	_, said := req.Header["Idempotency-Key"]
	return said
}

// pool finds the connections to a server.
func (t *Transport) pool(u *url.URL) (*pool, error) {
	if u == nil || u.Scheme != "https" {
		return nil, fmt.Errorf("attested TLS: %.200q is no https URL", u)
	}
	host, port := u.Hostname(), cmp.Or(u.Port(), "443")
	address := net.JoinHostPort(host, port)
	v := t.verifiers[address]
	if v == nil {
		v = t.verifiers[host]
	}
	if v == nil {
		return nil, fmt.Errorf("attested TLS: no policy is named for %.200s", address)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errClosed
	}
	p := t.pools[address]
	if p == nil {
		p = newPool(newServer(address, v, t.options.Dial), t.options)
		t.pools[address] = p
	}
	return p, nil
}

// CloseIdleConnections closes the connections that carry no request at this time.
func (t *Transport) CloseIdleConnections() {
	for _, p := range t.all() {
		for _, c := range p.open() {
			c.closeIfIdle()
		}
	}
}

// Close ends all connections, with the requests that are under way, and returns when they have ended. Later requests fail.
func (t *Transport) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	for _, p := range t.all() {
		p.close()
	}
}

func (t *Transport) all() []*pool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.pools))
}
