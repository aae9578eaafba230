package pipe

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// transports are the kinds of connection that are joined: each gives two ends of a new one.
var transports = map[string]func(*testing.T) (a, b Conn){
	"memory": func(*testing.T) (a, b Conn) { return memvsock.Pipe() },
	"unix": func(t *testing.T) (a, b Conn) {
		return over(t, "unix", filepath.Join(t.TempDir(), "s"))
	},
	"tcp": func(t *testing.T) (a, b Conn) { return over(t, "tcp", "127.0.0.1:0") },
}

func over(t *testing.T, network, address string) (a, b Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return vsock.Capped(near.(Conn)), vsock.Capped(far.(Conn))
}

// joined is what a running Join came to.
type joined struct {
	ended  sync.WaitGroup
	counts Counts
	err    error
}

// join starts a Join of two new connections and returns their outer ends.
func join(t *testing.T, ctx context.Context, make func(*testing.T) (a, b Conn)) (left, right Conn, j *joined) { //nolint:revive // t comes first in a test
	t.Helper()
	left, a := make(t)
	b, right := make(t)
	j = &joined{}
	j.ended.Go(func() { j.counts, j.err = Join(ctx, a, b, Limits{}) })
	t.Cleanup(func() { _ = left.Close(); _ = right.Close() })
	return left, right, j
}

func TestHalfCloseBothWays(t *testing.T) {
	for name, transport := range transports {
		t.Run(name, func(t *testing.T) {
			for _, leftFirst := range []bool{true, false} {
				left, right, j := join(t, t.Context(), transport)
				first, second := left, right
				want := Counts{AToB: 8, BToA: 6}
				if !leftFirst {
					first, second = right, left
					want = Counts{AToB: 6, BToA: 8}
				}
				send(t, first, "question")
				if got, err := io.ReadAll(second); string(got) != "question" || err != nil {
					t.Errorf("read %q, %v", got, err)
				}
				send(t, second, "answer")
				if got, err := io.ReadAll(first); string(got) != "answer" || err != nil {
					t.Errorf("read %q, %v", got, err)
				}
				j.ended.Wait()
				if j.err != nil || j.counts != want {
					t.Errorf("Join = %+v, %v, want %+v", j.counts, j.err, want)
				}
			}
		})
	}
}

// send writes s and says that nothing more comes.
func send(t *testing.T, c Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Error(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Error(err)
	}
}

func TestMuchBothWaysAtOnce(t *testing.T) {
	for name, transport := range transports {
		t.Run(name, func(t *testing.T) {
			left, right, j := join(t, t.Context(), transport)
			there, back := make([]byte, 3<<20+1), make([]byte, 2<<20+7)
			_, _ = rand.Read(there)
			_, _ = rand.Read(back)
			var all sync.WaitGroup
			all.Go(func() { send(t, left, string(there)) })
			all.Go(func() { send(t, right, string(back)) })
			all.Go(func() { receive(t, right, there) })
			all.Go(func() { receive(t, left, back) })
			all.Wait()
			j.ended.Wait()
			if want := (Counts{AToB: int64(len(there)), BToA: int64(len(back))}); j.counts != want || j.err != nil {
				t.Errorf("Join = %+v, %v, want %+v", j.counts, j.err, want)
			}
		})
	}
}

func receive(t *testing.T, c Conn, want []byte) {
	t.Helper()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v; want %d bytes as sent", len(got), err, len(want))
	}
}

func TestContextEndsBoth(t *testing.T) {
	drained := errors.New("drained")
	for name, transport := range transports {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			left, right, j := join(t, ctx, transport)
			if _, err := left.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(right, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			cancel(drained)
			j.ended.Wait()
			if !errors.Is(j.err, drained) || j.counts != (Counts{AToB: 5}) {
				t.Errorf("Join = %+v, %v, want the context's cause", j.counts, j.err)
			}
			for _, c := range []Conn{left, right} {
				if n, err := c.Read(make([]byte, 1)); err == nil {
					t.Errorf("the peer still reads %d bytes", n)
				}
			}
		})
	}
}

func TestContextThatEndedBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, j := join(t, ctx, transports["memory"])
	j.ended.Wait()
	if !errors.Is(j.err, context.Canceled) {
		t.Errorf("Join = %v", j.err)
	}
}

// faulty is a connection whose writes fail after some bytes, or whose half-close does.
type faulty struct {
	Conn
	takes      int
	writeErr   error
	closeWrite error
}

func (f *faulty) Write(b []byte) (int, error) {
	if f.writeErr != nil && len(b) > f.takes {
		return f.takes, f.writeErr
	}
	return f.Conn.Write(b)
}

func (f *faulty) CloseWrite() error {
	if f.closeWrite != nil {
		return f.closeWrite
	}
	return f.Conn.CloseWrite()
}

func TestFailureOfOneSideEndsBoth(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name   string
		fault  faulty
		err    error
		counts Counts
	}{
		{"a write", faulty{takes: 3, writeErr: broken}, broken, Counts{AToB: 3}},
		{"the half-close", faulty{closeWrite: broken}, broken, Counts{AToB: 5}},
		{"the half-close of one that is gone", faulty{closeWrite: net.ErrClosed}, nil, Counts{AToB: 5}},
		{"the half-close of a vsock that was reset", faulty{closeWrite: io.EOF}, nil, Counts{AToB: 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			left, a := memvsock.Pipe()
			b, right := memvsock.Pipe()
			defer left.Close()
			defer right.Close()
			tt.fault.Conn = b
			var peers sync.WaitGroup
			peers.Go(func() { _, _ = left.Write([]byte("hello")); _ = left.CloseWrite() })
			peers.Go(func() {
				_, _ = io.ReadFull(right, make([]byte, 5))
				if tt.err == nil {
					_ = right.Close()
				}
			})
			counts, err := Join(t.Context(), a, &tt.fault, Limits{})
			if !errors.Is(err, tt.err) || counts != tt.counts {
				t.Errorf("Join = %+v, %v, want %+v, %v", counts, err, tt.counts, tt.err)
			}
			if _, err := left.Read(make([]byte, 1)); err == nil {
				t.Error("the other side is still open")
			}
			_ = right.Close()
			peers.Wait()
		})
	}
}

func TestPeerThatResets(t *testing.T) {
	left, a := over(t, "tcp", "127.0.0.1:0")
	b, right := over(t, "tcp", "127.0.0.1:0")
	defer right.Close()
	// Unread bytes at Close make TCP send a reset instead of an end.
	if _, err := a.Write([]byte("unread")); err != nil {
		t.Fatal(err)
	}
	if _, err := left.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_ = left.Close()
	if _, err := Join(t.Context(), a, b, Limits{}); err == nil {
		t.Error("a reset passes for an end")
	}
	if _, err := right.Read(make([]byte, 1)); err == nil {
		t.Error("the other side is still open")
	}
}

func TestBothAreClosedAfterwards(t *testing.T) {
	left, a := memvsock.Pipe()
	b, right := memvsock.Pipe()
	_, _ = left.Close(), right.Close()
	if counts, err := Join(t.Context(), a, b, Limits{}); err != nil || counts != (Counts{}) {
		t.Errorf("Join = %+v, %v", counts, err)
	}
	for _, c := range []Conn{a, b} {
		if err := c.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if _, err := c.Write([]byte{1}); err == nil {
			t.Error("still open")
		}
	}
}

func BenchmarkJoin(b *testing.B) {
	left, l := memvsock.Pipe()
	r, right := memvsock.Pipe()
	var all sync.WaitGroup
	all.Go(func() { _, _ = Join(b.Context(), l, r, Limits{}) })
	all.Go(func() { _, _ = io.Copy(io.Discard, right); _ = right.Close() })
	data := make([]byte, vsock.MaxWrite)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		_, _ = left.Write(data)
	}
	_ = left.CloseWrite()
	all.Wait()
	_ = left.Close()
}
