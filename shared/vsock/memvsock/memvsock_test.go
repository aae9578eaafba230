package memvsock

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := pair(t, new(Network))
		return a, b, func() { _ = a.Close(); _ = b.Close() }, nil
	})
}

// pair is a connection through the network, seen from both sides.
func pair(t *testing.T, n *Network) (near, far vsock.Conn) {
	t.Helper()
	l, err := n.Listen(9443)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var dialling sync.WaitGroup
	dialling.Go(func() { near, err = n.Dial(t.Context(), vsock.CIDParent, 9443) })
	accepted, acceptErr := l.Accept()
	dialling.Wait()
	if err != nil || acceptErr != nil {
		t.Fatal(err, acceptErr)
	}
	far, ok := accepted.(vsock.Conn)
	if !ok {
		t.Fatalf("Accept returns %T, which is no vsock.Conn", accepted)
	}
	return near, far
}

func TestHalfClose(t *testing.T) {
	for _, dialerFirst := range []bool{true, false} {
		a, b := pair(t, new(Network))
		if !dialerFirst {
			a, b = b, a
		}
		var asking sync.WaitGroup
		asking.Go(func() {
			_, _ = io.WriteString(a, "question")
			_ = a.CloseWrite()
		})
		if got, err := io.ReadAll(b); string(got) != "question" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		asking.Wait()
		if _, err := a.Write([]byte{1}); err == nil {
			t.Error("a half-closed connection takes bytes")
		}
		asking.Go(func() {
			_, _ = io.WriteString(b, "answer")
			_ = b.Close()
		})
		if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		asking.Wait()
		_ = a.Close()
	}
}

func TestWritesAreCapped(t *testing.T) {
	a, b := Pipe()
	defer a.Close()
	defer b.Close()
	data := bytes.Repeat([]byte{7}, 2*vsock.MaxWrite)
	var writing sync.WaitGroup
	writing.Go(func() { _, _ = a.Write(data) })
	buf := make([]byte, len(data))
	for left := len(data); left > 0; {
		n, err := b.Read(buf) // a net.Pipe hands over one write per read
		if n > vsock.MaxWrite || err != nil {
			t.Fatalf("one read gave %d bytes, %v", n, err)
		}
		left -= n
	}
	writing.Wait()
}

func TestPorts(t *testing.T) {
	n := new(Network)
	if _, err := n.Dial(t.Context(), 3, 1); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial without listener: %v", err)
	}
	l, err := n.Listen(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Listen(1); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "mem port 1") {
		t.Errorf("second listener: %v", err)
	}
	if got := l.Addr(); got != (vsock.Addr{Port: 1}) {
		t.Errorf("Addr() = %v", got)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after Close: %v", err)
	}
	again, err := n.Listen(1)
	if err != nil {
		t.Fatalf("the port is not free after Close: %v", err)
	}
	_ = again.Close()
}

func TestDialWaitsForAcceptUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(Network)
		l, err := n.Listen(1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		if _, err := n.Dial(ctx, 3, 1); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Hour {
			t.Errorf("Dial = %v after %v", err, time.Since(start))
		}
		var dialling sync.WaitGroup
		dialling.Go(func() {
			if _, err := n.Dial(t.Context(), 3, 1); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("dial while the listener closes: %v", err)
			}
		})
		synctest.Wait()
		_ = l.Close()
		dialling.Wait()
	})
}

// One network serves many ports and many connections at once.
func TestConcurrentUse(t *testing.T) {
	n := new(Network)
	var all sync.WaitGroup
	for port := range uint32(20) {
		l, err := n.Listen(port)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			all.Go(func() {
				c, err := l.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				_, _ = c.Write([]byte{byte(port)})
			})
			all.Go(func() {
				c, err := n.Dial(t.Context(), 3, port)
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, []byte{byte(port)}) {
					t.Errorf("port %d answers %v, %v", port, got, err)
				}
			})
		}
		t.Cleanup(func() { _ = l.Close() })
	}
	all.Wait()
}
