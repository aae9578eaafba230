package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// running is a server whose handler waits until it is let go.
type running struct {
	url     string
	entered chan struct{} // one element per request that is under way
	leave   chan struct{} // closed to let requests end
	stop    context.CancelFunc
	ended   chan error
}

func serveSlowly(t *testing.T, drain time.Duration) *running {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &running{
		url: "http://" + l.Addr().String(), entered: make(chan struct{}, 10),
		leave: make(chan struct{}), ended: make(chan error, 1),
	}
	s, err := NewServer("test", l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		r.entered <- struct{}{}
		<-r.leave
		_, _ = io.WriteString(w, "done")
	}), nil, drain, limits(t, 100), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(t.Context())
	go func() { r.ended <- s.Run(ctx) }()
	return r
}

// request gives the answer's body, or the error's text.
func (r *running) request(t *testing.T) <-chan string {
	t.Helper()
	answer := make(chan string, 1)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	go func() {
		res, err := client.Get(r.url)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- string(body)
	}()
	return answer
}

func TestRequestsUnderWayAreDrained(t *testing.T) {
	r := serveSlowly(t, time.Minute)
	answer := r.request(t)
	<-r.entered
	r.stop()
	for { // newcomers are refused while the drain waits
		late, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			break
		}
		_ = late.Close()
	}
	close(r.leave)
	if got := <-answer; got != "done" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-r.ended; err != nil {
		t.Errorf("end: %v", err)
	}
}

func TestADrainThatTakesTooLongIsCutAndTold(t *testing.T) {
	r := serveSlowly(t, time.Millisecond)
	answer := r.request(t)
	<-r.entered
	r.stop()
	err := <-r.ended
	if err == nil || !strings.Contains(err.Error(), "drain test: requests still under way after 1ms") {
		t.Errorf("error %v", err)
	}
	close(r.leave)
	if got := <-answer; got == "done" {
		t.Error("the request was answered after the cut")
	}
}

func TestAListenerThatFailsEndsTheServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	s, err := NewServer("test", l, http.NotFoundHandler(), nil, time.Second, limits(t, 100), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "serve test on 127.0.0.1") {
		t.Errorf("error %v", err)
	}
}

func TestAHandlersPanicIsLoggedAndCostsItsConnectionAlone(t *testing.T) {
	core, lines := observer.New(zap.ErrorLevel)
	h := guarded(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("index out of range") }), zap.New(core))
	defer func() {
		if p, _ := recover().(error); !errors.Is(p, http.ErrAbortHandler) {
			t.Errorf("the server sees %v, want ErrAbortHandler", p)
		}
		if lines.FilterField(zap.String("panic", "index out of range")).Len() != 1 {
			t.Errorf("not logged: %v", lines.All())
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
}

func TestARequestHasItsDeadline(t *testing.T) {
	guarded(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if end, ok := r.Context().Deadline(); !ok || time.Until(end) > requestTimeout {
			t.Errorf("deadline %v %v", end, ok)
		}
	}), zap.NewNop()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
}
