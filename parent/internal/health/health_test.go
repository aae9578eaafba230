package health

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// get returns status and body of one path.
func get(t *testing.T, address, path string) (int, string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestServer(t *testing.T) {
	var reason atomic.Pointer[string]
	registry := prometheus.NewRegistry()
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "containment_parent_example"})
	gauge.Set(7)
	registry.MustRegister(gauge)
	s := New("127.0.0.1:0", func() error {
		if why := reason.Load(); why != nil {
			return errors.New(*why)
		}
		return nil
	}, registry, zap.NewNop())
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	address := s.bound.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx, ctx) }()

	check := func(path string, status int, body string) {
		t.Helper()
		if gotStatus, got := get(t, address, path); gotStatus != status || !strings.Contains(got, body) {
			t.Errorf("%s = %d %q, want %d with %q", path, gotStatus, got, status, body)
		}
	}
	check("/healthz", 200, "ok\n")
	check("/readyz", 200, "ok\n")
	check("/metrics", 200, "containment_parent_example 7\n")
	check("/other", 404, "")
	why := "no heartbeat of the enclave for 17s"
	reason.Store(&why)
	check("/readyz", 503, why+"\n")
	check("/healthz", 200, "ok\n")

	second := New(address, nil, registry, zap.NewNop())
	if err := second.Bind(); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "health: listen tcp4 "+address) {
		t.Errorf("Bind of a taken address = %v", err)
	}

	garbage, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = garbage.Write([]byte("\x00\xff\r\n\r\n"))
	_ = garbage.SetReadDeadline(time.Now().Add(5 * time.Second))
	if answer, err := io.ReadAll(garbage); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400") {
		t.Errorf("answer to garbage: %q, %v", answer, err)
	}
	_ = garbage.Close()

	stop()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestHangingRequestDoesNotHoldTheEnd(t *testing.T) {
	s := New("127.0.0.1:0", func() error { return nil }, prometheus.NewRegistry(), zap.NewNop())
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.bound.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx, ctx) }()
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HT")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the end took %v", took)
	}
}

func TestReleaseFreesTheAddress(t *testing.T) {
	s := New("127.0.0.1:0", nil, prometheus.NewRegistry(), zap.NewNop())
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	second := New(s.bound.Addr().String(), nil, prometheus.NewRegistry(), zap.NewNop())
	s.Release()
	if err := second.Bind(); err != nil {
		t.Errorf("Bind after Release = %v", err)
	}
	second.Release()
}
