package unixvsock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// hypervisor serves one hybrid socket: it reads "CONNECT PORT\n" and gives what follows to serve.
func hypervisor(t *testing.T, serve func(c *net.UnixConn, port uint32)) Hybrid {
	t.Helper()
	path := filepath.Join(t.TempDir(), "v.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			all.Go(func() {
				var port uint32
				if _, err := fmt.Fscanf(oneByte{c}, "CONNECT %d\n", &port); err != nil {
					t.Errorf("the hypervisor was not asked as it should: %v", err)
				}
				serve(c, port)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return Hybrid(path)
}

// oneByte keeps fmt from reading ahead.
type oneByte struct{ io.Reader }

func (o oneByte) Read(b []byte) (int, error) { return o.Reader.Read(b[:min(len(b), 1)]) }

func TestHybridConn(t *testing.T) {
	guest := make(chan net.Conn)
	h := hypervisor(t, func(c *net.UnixConn, port uint32) {
		_, _ = fmt.Fprintf(c, "OK %d\n", port+1<<30) // a port of the hypervisor's own choice
		guest <- c
	})
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		near, err := h.Dial(t.Context(), vsock.CIDParent, 9443)
		if err != nil {
			return nil, nil, nil, err
		}
		far := <-guest
		return near, far, func() { _ = near.Close(); _ = far.Close() }, nil
	})
}

func TestHybridKeepsWhatFollowsTheAnswer(t *testing.T) {
	h := hypervisor(t, func(c *net.UnixConn, _ uint32) {
		_, _ = io.WriteString(c, "OK 1\nOK 2\nand more")
		_ = c.CloseWrite()
		got, err := io.ReadAll(c)
		if string(got) != "hello" || err != nil {
			t.Errorf("guest read %q, %v", got, err)
		}
		_ = c.Close()
	})
	c, err := h.Dial(t.Context(), vsock.CIDParent, 9443)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Error(err)
	}
	got, err := io.ReadAll(c)
	if string(got) != "OK 2\nand more" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Error(err)
	}
}

func TestHybridRefusedOrGarbled(t *testing.T) {
	for _, tt := range []struct{ name, answer, because string }{
		{"nobody listens", "", "nobody listens there (closed without an answer)"},
		{"cut short", "OK 70", `answer "OK 70" is cut short`},
		{"another word", "NO 7000\n", `answer "NO 7000\n" is not OK PORT`},
		{"empty line", "\n", `answer "\n" is not OK PORT`},
		{"no number", "OK yes\n", `answer "OK yes\n" is not OK PORT`},
		{"number too large", "OK 4294967296\n", `answer "OK 4294967296\n" is not OK PORT`},
		{"another protocol", "HTTP/1.1 400 Bad Request\r\n\r\n", `answer "HTTP/1.1 400 B" is not OK PORT`},
		{"endless", strings.Repeat("x", 1<<20), `answer "xxxxxxxxxxxxxx" is not OK PORT`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := hypervisor(t, func(c *net.UnixConn, _ uint32) {
				_, _ = io.WriteString(c, tt.answer)
				_ = c.Close()
			})
			c, err := h.Dial(t.Context(), vsock.CIDParent, 7000)
			if c != nil || err == nil {
				t.Fatalf("Dial = %v, %v", c, err)
			}
			want := fmt.Sprintf("connect to port 7000 through %s: %s", h, tt.because)
			if err.Error() != want {
				t.Errorf("error\n%v\nwant\n%s", err, want)
			}
		})
	}
}

func TestHybridClosedWithoutReading(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	var closer sync.WaitGroup
	closer.Go(func() {
		c, err := l.Accept()
		if err == nil {
			_ = c.Close() // the peer is told by EOF, by a reset or by a broken pipe, as it happens
		}
	})
	defer closer.Wait()
	defer l.Close()
	_, err = Hybrid(path).Dial(t.Context(), vsock.CIDParent, 7000)
	if err == nil || !strings.Contains(err.Error(), "nobody listens there") {
		t.Errorf("error %v", err)
	}
}

func TestHybridGivesUpWithTheContext(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	defer cancel()
	expired, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	for _, tt := range []struct {
		ctx  context.Context
		want error
	}{
		{cancelled, context.Canceled},
		{expired, context.DeadlineExceeded},
	} {
		h := hypervisor(t, func(c *net.UnixConn, _ uint32) {
			cancel()
			_, _ = io.ReadAll(c) // never an answer
			_ = c.Close()
		})
		c, err := h.Dial(tt.ctx, vsock.CIDParent, 7000)
		if c != nil || !errors.Is(err, tt.want) {
			t.Errorf("Dial = %v, %v, want %v", c, err, tt.want)
		}
	}
}

func TestHybridListen(t *testing.T) {
	h := Hybrid(filepath.Join(t.TempDir(), "v.sock"))
	l, err := h.Listen(7000)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// This is what the hypervisor does when the guest connects to the host's port 7000.
	c, err := net.Dial("unix", string(h)+"_7000")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if _, ok := accepted.(vsock.Conn); !ok {
		t.Errorf("Accept returns %T, which is no vsock.Conn", accepted)
	}
}

func TestHybridWithoutHypervisor(t *testing.T) {
	h := Hybrid(filepath.Join(t.TempDir(), "v.sock"))
	_, err := h.Dial(t.Context(), vsock.CIDParent, 7000)
	if !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "nobody listens there") {
		t.Errorf("error %v", err)
	}
}
