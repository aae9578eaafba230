package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/shared/pipe"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
)

// loopback stands in for the loopback device, in virtual time: the door of a TCP port is the port of a network in memory.
type loopback struct {
	memvsock.Network
	opened []string
	wrap   func(net.Listener) net.Listener
}

func (l *loopback) listen(network, address string) (net.Listener, error) {
	l.opened = append(l.opened, network+" "+address)
	var port uint32
	if _, err := fmt.Sscanf(address[strings.LastIndex(address, ":")+1:], "%d", &port); err != nil {
		return nil, err
	}
	opened, err := l.Listen(port)
	if err == nil && l.wrap != nil {
		opened = l.wrap(opened)
	}
	return opened, err
}

// world is forwarders at work between a loopback device and a parent.
type world struct {
	loopback loopback
	parent   memvsock.Network
	registry *prometheus.Registry
	logged   *observer.ObservedLogs
	hosts    string
	stop     func() error
	ended    chan error
}

func open(t *testing.T, wrap func(net.Listener) net.Listener) *world {
	t.Helper()
	core, logged := observer.New(zap.WarnLevel)
	w := &world{registry: prometheus.NewRegistry(), logged: logged, ended: make(chan error, 1), loopback: loopback{wrap: wrap}}
	d, err := New(testRoutes(), &w.parent, testLimits, w.registry)
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewForwarders(d, w.loopback.listen, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	w.hosts = string(f.Hosts())
	ctx, cancel := context.WithCancel(t.Context())
	go func() { w.ended <- f.Run(ctx) }()
	w.stop = func() error { cancel(); return <-w.ended }
	return w
}

func (w *world) enter(t *testing.T, port uint32) pipe.Conn {
	t.Helper()
	c, err := w.loopback.Dial(t.Context(), 0, port)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// end reads what can never come, and returns how and after how long the connection ended.
func end(c net.Conn) (took time.Duration, err error) {
	began := time.Now()
	_, err = c.Read(make([]byte, 1))
	return time.Since(began), err
}

func TestForwardersLeadToTheirRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil)
		for port, greeting := range map[uint32]string{8001: "kms", 8002: "db", 8003: "admin"} {
			answering(t, &w.parent, port, func(c pipe.Conn) { // answers only when its client has said all
				question, _ := io.ReadAll(c)
				_, _ = fmt.Fprintf(c, "%s heard %s", greeting, question)
				_ = c.Close()
			})
		}
		if diff := cmp.Diff([]string{"tcp4 127.0.0.2:443", "tcp4 127.0.0.3:5432", "tcp4 127.0.0.3:5433"}, w.loopback.opened); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff("127.0.0.1 localhost\n127.0.0.2 kms.eu-west-1.amazonaws.com\n127.0.0.3 db.internal\n", w.hosts); diff != "" {
			t.Error(diff)
		}
		for port, want := range map[uint32]string{443: "kms heard you", 5432: "db heard you", 5433: "admin heard you"} {
			c := w.enter(t, port)
			_, _ = io.WriteString(c, "you")
			_ = c.CloseWrite()
			if got, err := io.ReadAll(c); string(got) != want || err != nil {
				t.Errorf("port %d: %q, %v", port, got, err)
			}
			_ = c.Close()
		}
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		if got := metrics(t, w.registry)["containment_egress_dials_total db connected"]; got != 1 {
			t.Errorf("%v connections counted", got)
		}
		if _, err := w.loopback.Dial(t.Context(), 0, 5432); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a listener is open after the end: %v", err)
		}
	})
}

func TestForwardersKeepTheLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil)
		answering(t, &w.parent, 8002, silent)
		never, _ := w.parent.Listen(8003) // accepts nothing
		defer never.Close()

		first, second := w.enter(t, 5432), w.enter(t, 5432)
		synctest.Wait()
		if took, err := end(w.enter(t, 5432)); err == nil || took != 0 {
			t.Errorf("beyond the cap: %v after %v", err, took)
		}
		_ = second.CloseWrite()
		if took, err := end(second); err == nil || took != 0 {
			t.Errorf("its server closes at once: %v after %v", err, took)
		}
		if took, err := end(first); err == nil || took != testLimits.IdleTimeout {
			t.Errorf("idle: %v after %v", err, took)
		}
		if took, err := end(w.enter(t, 5432)); err == nil || took != testLimits.IdleTimeout {
			t.Errorf("a slot was not given back: %v after %v", err, took)
		}
		if took, err := end(w.enter(t, 5433)); err == nil || took != testLimits.ConnectTimeout {
			t.Errorf("a parent that does not answer: %v after %v", err, took)
		}
		if took, err := end(w.enter(t, 443)); err == nil || took != 0 {
			t.Errorf("a parent that refuses: %v after %v", err, took)
		}
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		counted := metrics(t, w.registry)
		for sample, want := range map[string]float64{"db full": 1, "db connected": 3, "db-admin failed": 1, "kms failed": 1} {
			if got := counted["containment_egress_dials_total "+sample]; got != want {
				t.Errorf("%s: %v, want %v", sample, got, want)
			}
		}
		if n := w.logged.FilterMessage("egress forwarder closes connections").Len(); n != 3 {
			t.Errorf("%d lines, want 3", n)
		}
	})
}

func TestAHalfOpenForwarderEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil)
		answering(t, &w.parent, 8002, func(c pipe.Conn) { // never ends its own direction by itself
			_, _ = io.Copy(io.Discard, c)
			_, _ = c.Write(nil)
			<-t.Context().Done()
			_ = c.Close()
		})
		c := w.enter(t, 5432)
		_ = c.CloseWrite()
		if took, err := end(c); err == nil || took != testLimits.HalfOpenTimeout {
			t.Errorf("%v after %v", err, took)
		}
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestTheEndCutsForwarders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, nil)
		answering(t, &w.parent, 8002, silent)
		c := w.enter(t, 5432)
		synctest.Wait()
		began := time.Now()
		if err := w.stop(); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if took, err := end(c); err == nil || took != 0 {
			t.Errorf("a connection outlived its forwarder: %v after %v", err, took)
		}
	})
}

func TestForwardersWithoutNamesLiveOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := New(nil, &memvsock.Network{}, testLimits, prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		f, err := NewForwarders(d, net.Listen, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		if err := f.Run(ctx); err != nil || time.Since(began) != time.Hour { // a room that ends by itself ends the process
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// sick fails so often before it accepts.
type sick struct {
	net.Listener
	failures int
}

func (s *sick) Accept() (net.Conn, error) {
	if s.failures > 0 {
		s.failures--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return s.Listener.Accept()
}

func TestForwardersWaitOutErrorsOfAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := open(t, func(l net.Listener) net.Listener { return &sick{l, 10} })
		answering(t, &w.parent, 8002, func(c pipe.Conn) { _ = c.Close() })
		c := w.enter(t, 5432)
		_, _ = end(c)
		if took, want := time.Since(began), (5+10+20+40+80+160+320+640+1000+1000)*time.Millisecond; took != want {
			t.Errorf("accepted after %v, want %v", took, want)
		}
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAListenerThatIsGoneEndsForwarders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var opened []net.Listener
		w := open(t, func(l net.Listener) net.Listener { opened = append(opened, l); return l })
		answering(t, &w.parent, 8002, silent)
		c := w.enter(t, 5432)
		synctest.Wait()
		_ = opened[0].Close()
		if err := <-w.ended; !errors.Is(err, net.ErrClosed) || !strings.HasPrefix(err.Error(), "egress forwarder of route kms: accept: ") {
			t.Errorf("got %v", err)
		}
		if took, err := end(c); err == nil || took != 0 {
			t.Errorf("a connection outlived its forwarder: %v after %v", err, took)
		}
	})
}
