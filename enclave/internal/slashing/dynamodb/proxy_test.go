package dynamodb_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// proxy stands between a store and the server, and spoils requests.
type proxy struct {
	server *httptest.Server
	client *http.Client

	mu       sync.Mutex // held while the fields below are used
	count    map[string]int
	inFlight int
	most     int // in flight at once
	accepted int // connections
	late     []*http.Request
	// fault, if set, says what becomes of the nth request of an operation, counted from 1.
	fault func(operation string, n int) deed
}

// deed is what a proxy does with a request.
type deed struct {
	forward bool   // the server gets it
	keep    bool   // the server gets it when the test says
	then    after  // what the client gets
	status  int    // with answer
	body    string // with answer
	wait    func() // called first
}

type after int

const (
	relay  after = iota + 1 // what the server said
	answer                  // an answer of our own
	cut                     // no answer: the connection is closed
	half                    // the first half of what the server said, then the connection is closed
	hang                    // nothing, until the client has gone
)

func pass() deed       { return deed{forward: true, then: relay} }
func lose() deed       { return deed{then: cut} }
func loseAnswer() deed { return deed{forward: true, then: cut} }

// fail is an error in the form of DynamoDB's.
func fail(status int, code, message string) deed {
	return deed{then: answer, status: status, body: `{"__type":"com.amazonaws.dynamodb.v20120810#` + code + `","message":"` + message + `"}`}
}

func throttle() deed {
	return fail(http.StatusBadRequest, "ProvisionedThroughputExceededException", "slower")
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	p := &proxy{client: &http.Client{Transport: transport}, count: map[string]int{}}
	p.server = httptest.NewUnstartedServer(p)
	p.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			p.mu.Lock()
			p.accepted++
			p.mu.Unlock()
		}
	}
	p.server.Start()
	t.Cleanup(func() {
		p.server.CloseClientConnections()
		p.server.Close()
		transport.CloseIdleConnections()
	})
	return p
}

// spoil sets the fault, and counts anew.
func (p *proxy) spoil(fault func(operation string, n int) deed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.count, p.most = fault, map[string]int{}, 0
}

// requests is how many of an operation came since spoil.
func (p *proxy) requests(operation string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count[operation]
}

// ServeHTTP is one request.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	onward, err := http.NewRequest(r.Method, shared.Endpoint()+r.URL.Path, bytes.NewReader(body)) //nolint:noctx // it may outlive the client
	if err != nil {
		return
	}
	onward.Header = r.Header.Clone()
	d := p.begin(operation)
	end := sync.OnceFunc(p.end)
	defer end()
	if d.wait != nil {
		d.wait()
	}
	if d.keep {
		p.mu.Lock()
		p.late = append(p.late, onward)
		p.mu.Unlock()
	}
	if d.forward {
		status, said, err := p.send(onward)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if d.then == relay || d.then == half {
			d.status, d.body = status, said
		}
	}
	if d.then != hang {
		end() // before the client hears of it and sends the next
	}
	switch d.then {
	case relay, answer:
		if d.status/100 == 3 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(d.status)
		_, _ = w.Write([]byte(d.body)) //nolint:gosec // JSON between programs
	case half:
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write([]byte(d.body[:len(d.body)/2])) //nolint:gosec // JSON between programs
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case cut:
		panic(http.ErrAbortHandler)
	case hang:
		<-r.Context().Done()
	}
}

func (p *proxy) send(r *http.Request) (status int, body string, err error) {
	said, err := p.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer said.Body.Close()
	text, err := io.ReadAll(said.Body)
	return said.StatusCode, string(text), err
}

// release sends what was kept.
func (p *proxy) release(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	late := p.late
	p.late = nil
	p.mu.Unlock()
	if len(late) == 0 {
		t.Fatal("no request was kept")
	}
	for _, r := range late {
		if _, _, err := p.send(r); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *proxy) begin(operation string) deed {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count[operation]++
	p.inFlight++
	p.most = max(p.most, p.inFlight)
	if p.fault == nil {
		return pass()
	}
	return p.fault(operation, p.count[operation])
}

func (p *proxy) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight--
}
