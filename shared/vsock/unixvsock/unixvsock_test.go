package unixvsock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a connection through a directory, seen from both sides.
func pair(t *testing.T, d Dir) (near, far vsock.Conn) {
	t.Helper()
	l, err := d.Listen(9443)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = d.Dial(t.Context(), vsock.CIDParent, 9443)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	far, ok := accepted.(vsock.Conn)
	if !ok {
		t.Fatalf("Accept returns %T, which is no vsock.Conn", accepted)
	}
	return near, far
}

func TestDirConn(t *testing.T) {
	d := Dir(t.TempDir())
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		near, far := pair(t, d)
		return near, far, func() { _ = near.Close(); _ = far.Close() }, nil
	})
}

func TestDirHalfClose(t *testing.T) {
	d := Dir(t.TempDir())
	for _, dialerFirst := range []bool{true, false} {
		a, b := pair(t, d)
		if !dialerFirst {
			a, b = b, a
		}
		if _, err := io.WriteString(a, "question"); err != nil {
			t.Fatal(err)
		}
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(b); string(got) != "question" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		if _, err := io.WriteString(b, "answer"); err != nil {
			t.Errorf("after the peer's half-close: %v", err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		_ = a.Close()
	}
}

func TestSocketFileHasMode0600AndGoesWithTheListener(t *testing.T) {
	d := Dir(t.TempDir())
	l, err := d.Listen(7000)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(d.path(7000))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v, want a socket with 0600", info.Mode())
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(d.path(7000)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket file stays after Close: %v", err)
	}
}

func TestStaleSocketIsTakenOver(t *testing.T) {
	d := Dir(t.TempDir())
	stale(t, d.path(7000))
	if _, err := d.Dial(t.Context(), 3, 7000); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("a stale socket answers with %v", err)
	}
	l, err := d.Listen(7000)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := d.Dial(t.Context(), 3, 7000)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// Of many that find one stale socket, one gets it, and its socket answers afterwards.
func TestStaleSocketIsTakenOverOnce(t *testing.T) {
	for range 20 {
		d := Dir(t.TempDir())
		stale(t, d.path(7000))
		var taken atomic.Pointer[net.Listener]
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				l, err := d.Listen(7000)
				switch {
				case err == nil && !taken.CompareAndSwap(nil, &l):
					t.Error("taken over twice")
					_ = l.Close()
				case err != nil && !errors.Is(err, syscall.EADDRINUSE):
					t.Error(err)
				}
			})
		}
		all.Wait()
		c, err := d.Dial(t.Context(), 3, 7000)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		_ = (*taken.Load()).Close()
	}
}

// stale leaves a socket file as a killed process does.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
}

func TestListenRefuses(t *testing.T) {
	d := Dir(t.TempDir())
	live, err := d.Listen(1)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if err := os.WriteFile(d.path(2), []byte("not yours"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(d.path(1), d.path(3)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		dir     Dir
		port    uint32
		is      error
		because string
	}{
		{"a live socket", d, 1, syscall.EADDRINUSE, "taken by another process"},
		{"a file", d, 2, nil, "2.sock exists and is not a socket"},
		{"a symbolic link", d, 3, nil, "3.sock exists and is not a socket"},
		{"a missing directory", d + "/none", 4, fs.ErrNotExist, fmt.Sprintf("socket directory: open %s/none", d)},
		{"a file as directory", Dir(d.path(2)), 5, syscall.ENOTDIR, "not a directory"},
		{"a long name", Dir(longDir(t)), 7, syscall.EINVAL, "use a shorter directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := tt.dir.Listen(tt.port)
			if err == nil {
				_ = l.Close()
				t.Fatal("it listens")
			}
			if tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.because) {
				t.Errorf("error %v, want one that says %q", err, tt.because)
			}
			if !strings.HasPrefix(err.Error(), "listen on unix://"+tt.dir.path(tt.port)+": ") {
				t.Errorf("error %v does not begin with the address", err)
			}
		})
	}
	if got, err := os.ReadFile(d.path(2)); string(got) != "not yours" || err != nil {
		t.Errorf("the file that stood there: %q, %v", got, err)
	}
}

func longDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDialRefused(t *testing.T) {
	d := Dir(t.TempDir())
	stale(t, d.path(1))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name    string
		ctx     context.Context
		dir     Dir
		port    uint32
		is      error
		because string
	}{
		{"a stale socket", t.Context(), d, 1, syscall.ECONNREFUSED, "connection refused"},
		{"no socket", t.Context(), d, 2, fs.ErrNotExist, "nobody listens there"},
		{"no directory", t.Context(), d + "/none", 3, fs.ErrNotExist, "the socket directory does not exist"},
		{"a long name", t.Context(), Dir(longDir(t)), 4, syscall.EINVAL, "use a shorter directory"},
		{"an ended context", ended, d, 1, context.Canceled, "operation was canceled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := tt.dir.Dial(tt.ctx, 3, tt.port)
			if c != nil || err == nil {
				t.Fatalf("Dial = %v, %v", c, err)
			}
			if tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.because) {
				t.Errorf("error %v, want one that says %q", err, tt.because)
			}
			address := "dial unix://" + tt.dir.path(tt.port) + ": "
			if !strings.HasPrefix(err.Error(), address) || strings.Count(err.Error(), "dial") != 1 {
				t.Errorf("error %v does not name the address once", err)
			}
		})
	}
}

func TestFor(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want vsock.Network
	}{
		{"vsock://3:7000", vsock.Kernel{}},
		{"unix:///run/chamber/7000.sock", Dir("/run/chamber")},
		{"unix:///run/v.sock:7000", Hybrid("/run/v.sock")},
	} {
		a, err := vsock.ParseAddr(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := For(a); got != tt.want {
			t.Errorf("For(%s) = %T(%v), want %T(%v)", tt.in, got, got, tt.want, tt.want)
		}
	}
}
