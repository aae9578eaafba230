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
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var limits = forward.Limits{MaxConnections: 4, ConnectTimeout: 5 * time.Second, IdleTimeout: time.Minute}

func newEntrance(dir unixvsock.Dir, listen string) *forward.Forwarder {
	registry := prometheus.NewRegistry()
	return New(Entrance{Name: "api", Listen: listen, Port: 9443}, dir, 16, limits, zap.NewNop(), forward.NewMetrics(registry, accept.NewMetrics(registry)))
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
func run(t *testing.T, dir unixvsock.Dir) string {
	t.Helper()
	address := freeAddress(t)
	f := newEntrance(dir, address)
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
	address := run(t, dir)
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
	address := run(t, unixvsock.Dir(t.TempDir()))
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
	address := run(t, dir)
	err := newEntrance(dir, address).Bind()
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "ingress/api: listen tcp4 "+address) {
		t.Errorf("Bind = %v", err)
	}
}
