package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/forward"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/resolve"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var limits = forward.Limits{MaxConnections: 4, ConnectTimeout: 5 * time.Second, IdleTimeout: time.Minute}

// run starts the listener of a route and stops it at the end of the test. It returns what the route counts.
func run(t *testing.T, network vsock.Network, route wire.Route) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewRegistry()
	runWith(t, config(network), route, registry)
	return registry
}

func runWith(t *testing.T, cfg Config, route wire.Route, registry *prometheus.Registry) {
	t.Helper()
	f := New(cfg, route, zap.NewNop(), newMetrics(registry))
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
}

func config(network vsock.Network) Config {
	return Config{Network: network, CID: 16, Limits: limits, AllowLoopback: true, Lookup: resolve.Lookup}
}

func newMetrics(registry *prometheus.Registry) Metrics {
	return Metrics{Forward: forward.NewMetrics(registry, accept.NewMetrics(registry)), Names: resolve.NewMetrics(registry)}
}

// refusesAll fails the test unless the route at port 8001 closes a connection at once.
func refusesAll(t *testing.T, dir unixvsock.Dir, say string) {
	t.Helper()
	c, err := dir.Dial(t.Context(), vsock.CIDParent, 8001)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, say)
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %d, %v; want a closed connection", n, err)
	}
}

// upper is a TCP server that answers in capitals when its client has said all.
func upper(t *testing.T) uint16 {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			text, _ := io.ReadAll(c)
			_, _ = io.WriteString(c, strings.ToUpper(string(text)))
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func TestRouteReachesItsHostByName(t *testing.T) {
	dir := unixvsock.Dir(t.TempDir())
	run(t, dir, wire.Route{Name: "db", Host: "localhost", Port: upper(t), VsockPort: 8001, Plain: true})
	c, err := dir.Dial(t.Context(), vsock.CIDParent, 8001)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("select one, please; ", 20_000) // several buffers
	go func() {
		_, _ = io.WriteString(c, long)
		_ = c.CloseWrite()
	}()
	answer, err := io.ReadAll(c)
	if err != nil || string(answer) != strings.ToUpper(long) {
		t.Errorf("answer of %d bytes, %v; want %d", len(answer), err, len(long))
	}
	_ = c.Close()
}

func TestUnreachableHostClosesTheConnection(t *testing.T) {
	dir := unixvsock.Dir(t.TempDir())
	run(t, dir, wire.Route{Name: "db", Host: "127.0.0.1", Port: 1, VsockPort: 8001, Plain: true})
	refusesAll(t, dir, "")
}

// foreign is a network whose listeners report peers of context identifier 5.
type foreign struct{ unixvsock.Dir }

func (f foreign) Listen(port uint32) (net.Listener, error) {
	l, err := f.Dir.Listen(port)
	return foreignListener{l}, err
}

type foreignListener struct{ net.Listener }

func (l foreignListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return foreignConn{c.(vsock.Conn)}, nil
}

type foreignConn struct{ vsock.Conn }

func (foreignConn) RemoteAddr() net.Addr { return vsock.Addr{CID: 5, Port: 1024} }

func TestStrangersAreRefused(t *testing.T) {
	dir := unixvsock.Dir(t.TempDir())
	run(t, foreign{dir}, wire.Route{Name: "db", Host: "127.0.0.1", Port: upper(t), VsockPort: 8001, Plain: true})
	refusesAll(t, dir, "")
}
