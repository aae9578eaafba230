package ingress

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/forward"
	"github.com/unforeseen-consequences/containment-chamber/shared/proxyproto"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var limits = forward.Limits{MaxConnections: 4, ConnectTimeout: 5 * time.Second, IdleTimeout: time.Minute}

func newEntrance(dir unixvsock.Dir, limits forward.Limits, e Entrance) *forward.Forwarder {
	registry := prometheus.NewRegistry()
	e.Name, e.Port = "api", 9443
	return New(e, dir, 16, limits, zap.NewNop(), forward.NewMetrics(registry, accept.NewMetrics(registry)))
}

// freeAddress is a TCP address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// run starts an entrance and returns its TCP address.
func run(t *testing.T, dir unixvsock.Dir, limits forward.Limits, introduce bool) string {
	t.Helper()
	address := freeAddress(t)
	f := newEntrance(dir, limits, Entrance{Listen: address, ProxyProtocol: introduce})
	if err := f.Bind(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.Run(ctx, ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return address
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func TestClientReachesTheEnclave(t *testing.T) {
	dir := unixvsock.Dir(t.TempDir())
	l, err := dir.Listen(9443)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	address := run(t, dir, limits, false)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := l.Accept()
		if err != nil {
			return
		}
		text, _ := io.ReadAll(c)
		_, _ = io.WriteString(c, strings.ToUpper(string(text)))
		_ = c.Close()
	}()
	c := dial(t, address)
	_, _ = io.WriteString(c, "sign this")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if string(answer) != "SIGN THIS" || err != nil {
		t.Errorf("answer %q, %v", answer, err)
	}
	_ = c.Close()
	<-ended
}

func TestAbsentEnclaveClosesAtOnce(t *testing.T) {
	address := run(t, unixvsock.Dir(t.TempDir()), limits, false)
	c := dial(t, address)
	defer func() { _ = c.Close() }()
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := c.Read(make([]byte, 1))
	if n != 0 || (!errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET)) {
		t.Errorf("Read = %d, %v; want a closed connection", n, err)
	}
}

func TestPortInUseIsNamed(t *testing.T) {
	dir := unixvsock.Dir(t.TempDir())
	address := run(t, dir, limits, false)
	err := newEntrance(dir, limits, Entrance{Listen: address}).Bind()
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "ingress/api: listen tcp4 "+address) {
		t.Errorf("Bind = %v", err)
	}
}

func TestClientIsIntroduced(t *testing.T) {
	dir := unixvsock.Dir(t.TempDir())
	l, err := dir.Listen(9443)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c := dial(t, run(t, dir, limits, true))
	defer func() { _ = c.Close() }()
	enclave, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = enclave.Close() }()
	if from, err := proxyproto.Read(enclave); err != nil || from.String() != c.LocalAddr().String() {
		t.Errorf("the enclave is told %v, %v; the client is %v", from, err, c.LocalAddr())
	}
	_, _ = io.WriteString(c, "hello")
	_ = c.CloseWrite()
	if said, err := io.ReadAll(enclave); string(said) != "hello" || err != nil {
		t.Errorf("then came %q, %v", said, err)
	}
}

// TestOneClientLeavesRoom has one client open more connections than it may, and another one come in.
func TestOneClientLeavesRoom(t *testing.T) {
	dir := unixvsock.Dir(t.TempDir())
	l, err := dir.Listen(9443)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	narrow := limits
	narrow.MaxPerSource = 2
	address := run(t, dir, narrow, false)
	arrives := func(from string) (net.Conn, bool) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "x")
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err = c.Read(make([]byte, 1))
		return c, err == nil
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = io.WriteString(c, "y")
		}
	}()
	for i, want := range []bool{true, true, false} {
		c, got := arrives("127.0.0.1")
		if got != want {
			t.Errorf("connection %d of one client: %v, want %v", i, got, want)
		}
		defer c.Close()
	}
	c, got := arrives("127.0.0.2")
	if !got {
		t.Error("another client is refused")
	}
	_ = c.Close()
}
