package egress

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/unforeseen-consequences/containment-chamber/shared/pipe"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
)

const dbAddress = "db.internal:5432"

// answering accepts on a port of the parent until the test ends, and gives each connection to handle, which closes it.
func answering(t *testing.T, p *memvsock.Network, port uint32, handle func(pipe.Conn)) {
	t.Helper()
	l, err := p.Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { handle(c.(pipe.Conn)) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
}

// silent reads until its client is gone.
func silent(c pipe.Conn) {
	_, _ = io.Copy(io.Discard, c)
	_ = c.Close()
}

func TestADialEndsThoughItsCallerWouldWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parent{}
		l, err := p.Listen(8002) // accepts nothing
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		d, err := New(testRoutes(), p, testLimits, prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		for range testLimits.MaxConnections + 1 { // each gives its slot back
			began := time.Now()
			_, err = d.DialContext(context.Background(), "tcp", dbAddress)
			if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != testLimits.ConnectTimeout {
				t.Errorf("%v after %v", err, took)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := d.DialContext(ctx, "tcp", dbAddress); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v, though the caller gave it a second", err, time.Since(began))
		}
	})
}

func TestARouteHasItsConnectionsAndNoMore(t *testing.T) {
	p, registry := &parent{}, prometheus.NewRegistry()
	answering(t, &p.Network, 8002, silent)
	answering(t, &p.Network, 8003, silent)
	d, err := New(testRoutes(), p, testLimits, registry)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(address string) (io.Closer, error) { return d.DialContext(t.Context(), "tcp", address) }
	first, err1 := dial(dbAddress)
	second, err2 := dial(dbAddress)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	defer second.Close()
	other, err := dial("db.internal:5433")
	if err != nil {
		t.Errorf("a full route keeps another from connecting: %v", err)
	} else {
		defer other.Close()
	}

	asked := len(p.asked)
	_, err = dial(dbAddress)
	refusal, ok := errors.AsType[*FullError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(FullError{Route: "db", Limit: 2}, *refusal); diff != "" {
		t.Error(diff)
	}
	if want := "egress route db: all 2 connections are taken (parent.egress.max_connections)"; err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if len(p.asked) != asked {
		t.Error("the parent was dialled")
	}
	if got := metrics(t, registry); got["containment_egress_dials_total db full"] != 1 || got["containment_egress_dials_total db connected"] != 2 {
		t.Errorf("counted %v", got)
	}

	_ = first.Close()
	_ = first.Close() // gives back nothing more
	third, err := dial(dbAddress)
	if err != nil {
		t.Fatalf("a closed connection holds its slot: %v", err)
	}
	defer third.Close()
	if _, err := dial(dbAddress); !errors.As(err, &refusal) {
		t.Errorf("closed twice, one connection gave two slots: %v", err)
	}
}

// TestSlotsAreNeverLost has many callers come, go and close twice at the same time: at no moment are more connections there than may be,
// and in the end all slots are free.
func TestSlotsAreNeverLost(t *testing.T) {
	const limit, callers, rounds = 8, 40, 50
	p := &memvsock.Network{}
	var live, most atomic.Int64
	limits := testLimits
	limits.MaxConnections = limit
	answering(t, p, 8002, silent)
	d, err := New(testRoutes(), p, limits, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var connections atomic.Int64
	for range callers {
		all.Go(func() {
			for range rounds {
				c, err := d.DialContext(t.Context(), "tcp", dbAddress)
				if _, refused := errors.AsType[*FullError](err); refused {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				connections.Add(1)
				now := live.Add(1)
				for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
				}
				runtime.Gosched() // others try meanwhile
				live.Add(-1)
				var closing sync.WaitGroup
				closing.Go(func() { _ = c.Close() })
				_ = c.Close()
				closing.Wait()
			}
		})
	}
	all.Wait()
	if connections.Load() == 0 || most.Load() > limit {
		t.Errorf("%d connections, %d at a time, want at most %d", connections.Load(), most.Load(), limit)
	}
	for i := range limit {
		c, err := d.DialContext(t.Context(), "tcp", dbAddress)
		if err != nil {
			t.Fatalf("slot %d is lost: %v", i, err)
		}
		defer c.Close()
	}
}

// TestAPipeWaitsWithoutABuffer: what a route gives can be half-closed, and read when there is something, as what the network gave.
func TestAPipeWaitsWithoutABuffer(t *testing.T) {
	network := unixvsock.Dir(t.TempDir())
	l, err := network.Listen(8002)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d, err := New(testRoutes(), network, testLimits, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.DialContext(t.Context(), "tcp", dbAddress)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, ok := c.(pipe.Conn); !ok {
		t.Errorf("%T cannot be half-closed", c)
	}
	socket, ok := c.(syscall.Conn)
	if !ok {
		t.Fatalf("%T is no socket", c)
	}
	if _, err := socket.SyscallConn(); err != nil {
		t.Error(err)
	}
}
