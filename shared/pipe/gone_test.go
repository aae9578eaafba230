package pipe

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

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
)

// TestAnswerOfATargetThatIsGone: a server answers and closes, its client goes on writing meanwhile, and has the whole answer all the same.
func TestAnswerOfATargetThatIsGone(t *testing.T) {
	for _, transport := range []string{"tcp", "unix"} {
		t.Run(transport, func(t *testing.T) {
			left, a := memvsock.Pipe() // takes nothing before it is read, so that the pipe holds what the server has sent
			b, right := transports[transport](t)
			const size = 100 << 10
			if _, err := right.Write(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			_ = right.Close()
			j := &joined{}
			j.ended.Go(func() { j.counts, j.err = Join(t.Context(), a, b, Limits{}) })
			if _, err := io.ReadFull(left, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			for i := range 100 {
				if _, err := left.Write([]byte("more")); err != nil {
					t.Fatalf("write %d: %v", i, err)
				}
			}
			if n, err := io.Copy(io.Discard, left); n != size-1 || err != nil {
				t.Errorf("the client got %d more bytes, %v, want %d", n, err, size-1)
			}
			_ = left.Close()
			j.ended.Wait()
			if !gone(j.err) || j.counts.BToA != size || j.counts.AToB >= 400 {
				t.Errorf("Join = %+v, %v", j.counts, j.err)
			}
		})
	}
}

// abandoned joins, in virtual time, a client with a target that takes nothing any more and has not said all.
func abandoned(t *testing.T, test func(left, right Conn, j *joined, stop context.CancelCauseFunc)) {
	t.Helper()
	for told, refusal := range map[error]error{syscall.EPIPE: syscall.EPIPE, syscall.ECONNRESET: syscall.ECONNRESET, io.EOF: syscall.ENOTCONN} {
		synctest.Test(t, func(t *testing.T) {
			left, a := memvsock.Pipe()
			b, right := memvsock.Pipe()
			broken := &net.OpError{Op: "write", Net: "tcp", Err: told} // io.EOF is what a vsock says that was reset
			ctx, stop := context.WithCancelCause(t.Context())
			j := &joined{}
			j.ended.Go(func() {
				j.counts, j.err = Join(ctx, a, &faulty{Conn: b, writeErr: broken, closeWrite: broken}, Limits{Idle: idle, HalfOpen: halfOpen})
			})
			wait(idle / 2)
			if _, err := left.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			test(left, right, j, stop)
			j.ended.Wait()
			stop(nil)
			if !errors.Is(j.err, refusal) {
				t.Errorf("Join = %v, want %v", j.err, refusal)
			}
			_ = left.Close()
			_ = right.Close()
		})
	}
}

// TestGoneTargetCountsAsHalfClosed: neither its silence nor a client that goes on writing to it holds the pipe open.
func TestGoneTargetCountsAsHalfClosed(t *testing.T) {
	abandoned(t, func(left, right Conn, j *joined, _ context.CancelCauseFunc) {
		wait(halfOpen - time.Second)
		pass(t, right, left, 1)
		start := time.Now()
		var writing sync.WaitGroup
		writing.Go(func() {
			for {
				if _, err := left.Write([]byte("more")); err != nil {
					return
				}
				wait(time.Second)
			}
		})
		j.ended.Wait()
		took := time.Since(start)
		writing.Wait()
		if took != halfOpen || j.counts != (Counts{BToA: 1}) {
			t.Errorf("ended after %v with %+v, want %v", took, j.counts, halfOpen)
		}
	})
}

func TestGoneTargetThatSaysAll(t *testing.T) {
	abandoned(t, func(left, right Conn, j *joined, _ context.CancelCauseFunc) {
		pass(t, right, left, 5)
		_ = left.CloseWrite()
		synctest.Wait()
		pass(t, right, left, 2)
		start := time.Now()
		_ = right.CloseWrite()
		if n, err := left.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("its end arrived as %d bytes, %v", n, err)
		}
		j.ended.Wait()
		if time.Since(start) != 0 || j.counts != (Counts{BToA: 7}) {
			t.Errorf("ended after %v with %+v", time.Since(start), j.counts)
		}
	})
}

func TestGoneTargetEndsWithTheContext(t *testing.T) {
	abandoned(t, func(_, _ Conn, j *joined, stop context.CancelCauseFunc) {
		start := time.Now()
		stop(errors.New("drained"))
		j.ended.Wait()
		if time.Since(start) != 0 {
			t.Errorf("ended after %v", time.Since(start))
		}
	})
}

// TestGoneTargetWhoseAnswerFails ends at once, whatever the client does.
func TestGoneTargetWhoseAnswerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left, a := memvsock.Pipe()
		b, right := memvsock.Pipe()
		fails := make(chan struct{})
		start := time.Now()
		var writing joined
		writing.ended.Go(func() {
			_, writing.err = left.Write([]byte("hello"))
			close(fails)
		})
		_, err := Join(t.Context(), a, &reset{faulty{Conn: b, writeErr: syscall.EPIPE}, fails}, Limits{Idle: idle, HalfOpen: halfOpen})
		writing.ended.Wait()
		if !gone(err) || writing.err != nil || time.Since(start) != 0 {
			t.Errorf("Join = %v after %v; the client wrote: %v", err, time.Since(start), writing.err)
		}
		if _, err := left.Read(make([]byte, 1)); err == nil {
			t.Error("the client's side is still open")
		}
		_ = left.Close()
		_ = right.Close()
	})
}

// reset is a connection whose reads fail once it is told so.
type reset struct {
	faulty
	fails chan struct{}
}

func (r *reset) Read([]byte) (int, error) {
	<-r.fails
	return 0, syscall.ECONNRESET
}
