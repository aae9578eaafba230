package dynamodb_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/dynamodb"
)

// fate is what becomes of a request, or its answer.
type fate int

const (
	pass       fate = iota
	lose            // it does not arrive
	loseAnswer      // it arrives, and the answer is lost
	throttle        // it is put off
	replay          // the answer is that to the same request before, when there was one
	keep            // it is lost, but arrives when release is called
	silence         // it is not answered, and nobody hears of it
)

// proxy stands between a store and the server, and spoils requests.
type proxy struct {
	server *httptest.Server
	client *http.Client

	mu       sync.Mutex // held while the fields below are used
	spoil    func(operation, body string) fate
	requests int
	answers  map[string][]byte // the first to each request
	kept     []*http.Request
}

// behind has options lead through a new proxy.
func behind(t *testing.T, o dynamodb.Options) (*proxy, dynamodb.Options) {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	p := &proxy{client: &http.Client{Transport: transport}, answers: map[string][]byte{}}
	p.server = httptest.NewServer(p)
	t.Cleanup(func() {
		p.server.CloseClientConnections()
		p.server.Close()
		transport.CloseIdleConnections()
	})
	o.Endpoint = p.server.URL
	return p, o
}

// set sets what becomes of requests from now on, and counts them anew.
func (p *proxy) set(spoil func(operation, body string) fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spoil, p.requests = spoil, 0
}

func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// ServeHTTP is one request.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	onward, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, shared.Endpoint()+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		return
	}
	onward.Header = r.Header.Clone()
	switch f, before := p.judge(operation, string(body)), p.before(operation+string(body)); f {
	case lose:
		panic(http.ErrAbortHandler)
	case keep:
		p.mu.Lock()
		p.kept = append(p.kept, onward)
		p.mu.Unlock()
		panic(http.ErrAbortHandler)
	case silence:
		<-r.Context().Done() // the client has hung up
	case throttle:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slower"}`))
	case replay:
		if before != nil {
			_, _ = w.Write(before)
			return
		}
		p.relay(w, onward, operation+string(body))
	case loseAnswer:
		p.relay(httptest.NewRecorder(), onward, "")
		panic(http.ErrAbortHandler)
	case pass:
		p.relay(w, onward, operation+string(body))
	}
}

func (p *proxy) judge(operation, body string) fate {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	if p.spoil == nil {
		return pass
	}
	return p.spoil(operation, body)
}

func (p *proxy) before(request string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answers[request]
}

// relay sends a request on, and what the server says back.
func (p *proxy) relay(w http.ResponseWriter, onward *http.Request, request string) {
	said, err := p.client.Do(onward)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer said.Body.Close()
	text, err := io.ReadAll(said.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	p.mu.Lock()
	if p.answers[request] == nil && request != "" {
		p.answers[request] = text
	}
	p.mu.Unlock()
	w.WriteHeader(said.StatusCode)
	_, _ = w.Write(text)
}

// release has the requests arrive that were kept.
func (p *proxy) release(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	kept := p.kept
	p.kept = nil
	p.mu.Unlock()
	if len(kept) == 0 {
		t.Error("no request was kept")
	}
	for _, r := range kept {
		p.relay(httptest.NewRecorder(), r, "")
	}
}
