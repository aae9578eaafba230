package accept

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counters gives every sample as name{label values} → value.
func counters(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			samples[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return samples
}

// echo answers with what it reads until the peer ends or the context does.
func echo(ctx context.Context, c net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	buf := make([]byte, 64)
	for {
		n, err := c.Read(buf)
		if err != nil {
			break
		}
		if _, err := c.Write(buf[:n]); err != nil {
			break
		}
	}
	_ = c.Close()
}

// ask sends one byte and returns what comes back.
func ask(c net.Conn) error {
	if _, err := c.Write([]byte{1}); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

// TestClosedBeforeRun: a listener that was bound for a Run which is stopped before it begins is closed when WaitClosed returns, and the
// Run does not open it again.
func TestClosedBeforeRun(t *testing.T) {
	var network memvsock.Network
	a := New(Config{Name: "x", Listen: func() (net.Listener, error) { return network.Listen(1) }, MaxConnections: 1}, zap.NewNop(), NewMetrics(prometheus.NewRegistry()))
	if err := a.Bind(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	a.WaitClosed()
	free, err := network.Listen(1)
	if err != nil {
		t.Fatalf("the port is not free: %v", err)
	}
	defer free.Close()
	if err := a.Run(ctx, t.Context(), echo); err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestLimitRefusesAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memvsock.Network
		registry := prometheus.NewRegistry()
		a := New(Config{Name: "x", Listen: func() (net.Listener, error) { return network.Listen(1) }, MaxConnections: 2, MaxPerSource: 1}, zap.NewNop(), NewMetrics(registry)) // memory has no source
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx, t.Context(), echo) }()
		synctest.Wait()

		var open []net.Conn
		for i := range 3 {
			c, err := network.Dial(ctx, 3, 1)
			if err != nil {
				t.Fatal(err)
			}
			err = ask(c)
			if refused := i == 2; refused != (err != nil) {
				t.Errorf("connection %d: %v", i, err)
			}
			open = append(open, c)
		}
		_ = open[0].Close()
		synctest.Wait()
		c, err := network.Dial(ctx, 3, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := ask(c); err != nil {
			t.Errorf("connection after one had left: %v", err)
		}
		want := map[string]float64{
			"containment_parent_connections_accepted_total x":       3,
			"containment_parent_connections_refused_total x full":   1,
			"containment_parent_connections_refused_total x peer":   0,
			"containment_parent_connections_refused_total x source": 0,
			"containment_parent_accept_errors_total x":              0,
			"containment_parent_connections_active x":               2,
		}
		if diff := cmp.Diff(want, counters(t, registry)); diff != "" {
			t.Error(diff)
		}
		stop()
		_, _ = open[1].Close(), c.Close()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

// TestLimitIsToldOnce has one client come and go at the limit: whoever can connect must not be able to fill the host's disk with lines.
func TestLimitIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memvsock.Network
		core, logged := observer.New(zap.InfoLevel)
		a := New(Config{Name: "x", Listen: func() (net.Listener, error) { return network.Listen(1) }, MaxConnections: 4}, zap.New(core), NewMetrics(prometheus.NewRegistry()))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx, t.Context(), echo) }()
		synctest.Wait()
		connect := func() net.Conn {
			c, err := network.Dial(ctx, 3, 1)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return c
		}
		leave := func(c net.Conn) { _ = c.Close(); synctest.Wait() }
		open := []net.Conn{connect(), connect(), connect(), connect()}
		for range 10 {
			leave(connect()) // refused
			leave(open[0])
			open[0] = connect()
		}
		if n := logged.FilterMessage("connection refused").Len(); n != 1 {
			t.Errorf("%d lines for one full listener, want 1", n)
		}
		for _, c := range open {
			leave(c)
		}
		leave(connect())
		if n := logged.FilterMessage("taking connections again").Len(); n != 1 {
			t.Errorf("%d lines when there was room again, want 1", n)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestPeerIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memvsock.Network
		core, logged := observer.New(zap.WarnLevel)
		a := New(Config{
			Name: "x", Listen: func() (net.Listener, error) { return network.Listen(1) }, MaxConnections: 2,
			Check: func(net.Conn) error { return errors.New("peer has context identifier 5, want 16") },
		}, zap.New(core), NewMetrics(prometheus.NewRegistry()))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx, t.Context(), echo) }()
		synctest.Wait()
		for range 3 {
			c, err := network.Dial(ctx, 3, 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := ask(c); err == nil {
				t.Error("a stranger was served")
			}
		}
		if n := logged.FilterMessage("connection refused").Len(); n != 1 {
			t.Errorf("%d lines for three refusals with one reason, want 1", n)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestDrainWaitsForConnectionsUntilCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memvsock.Network
		a := New(Config{Name: "x", Listen: func() (net.Listener, error) { return network.Listen(1) }, MaxConnections: 2}, zap.NewNop(), NewMetrics(prometheus.NewRegistry()))
		if err := a.Bind(); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		cut, cutNow := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx, cut, echo) }()
		c, err := network.Dial(ctx, 3, 1)
		if err != nil {
			t.Fatal(err)
		}
		stop()
		synctest.Wait()
		if err := ask(c); err != nil {
			t.Errorf("a connection in the drain: %v", err)
		}
		if _, err := network.Dial(t.Context(), 3, 1); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial in the drain = %v, want refused", err)
		}
		if len(done) != 0 {
			t.Error("Run ended before its connection")
		}
		cutNow()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if err := ask(c); err == nil {
			t.Error("the connection outlived the cut")
		}
	})
}

// broken answers Accept from a list, then as a closed listener does.
type broken struct {
	net.Listener
	errs   []error
	once   sync.Once
	closed chan struct{}
}

func (b *broken) Accept() (net.Conn, error) {
	if len(b.errs) > 0 {
		err := b.errs[0]
		b.errs = b.errs[1:]
		return nil, err
	}
	<-b.closed
	return nil, net.ErrClosed
}
func (b *broken) Close() error   { b.once.Do(func() { close(b.closed) }); return nil }
func (b *broken) Addr() net.Addr { return &net.UnixAddr{Name: "broken", Net: "unix"} }

func TestAcceptErrorsAreWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zap.WarnLevel)
		registry := prometheus.NewRegistry()
		l := &broken{errs: []error{syscall.EMFILE, syscall.EMFILE, syscall.EMFILE, syscall.ENOMEM}, closed: make(chan struct{})}
		a := New(Config{Name: "x", Listen: func() (net.Listener, error) { return l, nil }, MaxConnections: 2}, zap.New(core), NewMetrics(registry))
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		start := time.Now()
		if err := a.Run(ctx, t.Context(), echo); err != nil {
			t.Errorf("Run = %v", err)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("Run ended after %v, want only with its context", took)
		}
		if got := counters(t, registry)["containment_parent_accept_errors_total x"]; got != 4 {
			t.Errorf("%v accept errors counted, want 4", got)
		}
		if n := logged.FilterMessage("cannot accept").Len(); n != 2 {
			t.Errorf("%d lines, want one per reason", n)
		}
	})
}

func TestClosedListenerEndsRun(t *testing.T) {
	var network memvsock.Network
	var l net.Listener
	a := New(Config{Name: "x", MaxConnections: 2, Listen: func() (net.Listener, error) {
		var err error
		l, err = network.Listen(1)
		return l, err
	}}, zap.NewNop(), NewMetrics(prometheus.NewRegistry()))
	if err := a.Bind(); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := a.Run(t.Context(), t.Context(), echo); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run = %v", err)
	}
}

func TestBindNamesTheListener(t *testing.T) {
	var network memvsock.Network
	cfg := Config{Name: "egress/kms", MaxConnections: 2, Listen: func() (net.Listener, error) { return network.Listen(8001) }}
	first := New(cfg, zap.NewNop(), NewMetrics(prometheus.NewRegistry()))
	if err := first.Bind(); err != nil {
		t.Fatal(err)
	}
	second := New(cfg, zap.NewNop(), NewMetrics(prometheus.NewRegistry()))
	err := second.Bind()
	if !errors.Is(err, syscall.EADDRINUSE) || err.Error() != "egress/kms: listen on mem port 8001: address already in use" {
		t.Errorf("second Bind = %v", err)
	}
	second.Release()
	first.Release()
	if err := second.Bind(); err != nil {
		t.Errorf("Bind after Release = %v", err)
	}
	second.Release()
}
