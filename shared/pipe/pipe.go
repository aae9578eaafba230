// Package pipe joins two connections until both directions have ended.
package pipe

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// ErrIdle ends a pipe through which nothing has passed for the idle time.
var ErrIdle = errors.New("idle for too long")

// Conn is a connection that can be closed in one direction: TCP, unix, vsock, TLS.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// Counts are the bytes that each direction delivered.
type Counts struct {
	AToB int64
	BToA int64
}

// buffers are as large as the most that a vsock takes in one call.
//
//nolint:gochecknoglobals // a pool has no state that anyone can see
var buffers = sync.Pool{New: func() any { return new([vsock.MaxWrite]byte) }}

// Join copies from a to b and from b to a until both have ended, and closes both. An end of one
// direction is passed on as a half-close while the other goes on. A failure of either direction, the
// end of ctx, or idle (0: no limit) without a read or a write that ended, in either direction, ends both.
// The error is nil if both directions ended with EOF.
func Join(ctx context.Context, a, b Conn, idle time.Duration) (Counts, error) {
	j := &joint{a: a, b: b, start: time.Now()}
	ended := make(chan struct{})
	var watcher, both sync.WaitGroup
	watcher.Go(func() { j.watch(ctx, idle, ended) })
	var counts Counts
	both.Go(func() { counts.AToB = j.copyAndClose(b, a) })
	both.Go(func() { counts.BToA = j.copyAndClose(a, b) })
	both.Wait()
	err := j.failure()
	close(ended)
	watcher.Wait()
	_ = a.Close()
	_ = b.Close()
	return counts, err
}

type joint struct {
	a, b  Conn
	start time.Time
	last  atomic.Int64 // when a byte passed last, either way: nanoseconds since start, on the monotonic clock

	mu  sync.Mutex // held while err is set or read
	err error      // why both directions were ended; the first reason stays
}

// fail ends both directions by closing both connections.
func (j *joint) fail(err error) {
	j.mu.Lock()
	if j.err == nil {
		j.err = err
	}
	j.mu.Unlock()
	_ = j.a.Close()
	_ = j.b.Close()
}

func (j *joint) failure() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// watch ends both directions when ctx ends or nothing has passed for the idle time. Deadlines on the
// connections would not do: a TLS connection is broken by a write that timed out, though the other direction lives.
func (j *joint) watch(ctx context.Context, idle time.Duration, ended <-chan struct{}) {
	var timer *time.Timer
	var expired <-chan time.Time // nil, which never fires, without a limit
	if idle > 0 {
		timer = time.NewTimer(idle)
		defer timer.Stop()
		expired = timer.C
	}
	for {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			j.fail(context.Cause(ctx))
			return
		case <-expired:
			left := idle - (time.Since(j.start) - time.Duration(j.last.Load()))
			if left <= 0 {
				j.fail(ErrIdle)
				return
			}
			timer.Reset(left)
		}
	}
}

// passed notes that bytes went through just now.
func (j *joint) passed() { j.last.Store(int64(time.Since(j.start))) }

// copyAndClose copies until src ends, then passes the end on to dst. It returns the bytes that dst took.
func (j *joint) copyAndClose(dst, src Conn) int64 {
	n, err := j.copy(dst, src)
	if err == nil {
		err = dst.CloseWrite()
		if errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ENOTCONN) {
			err = nil // the peer is gone altogether; its own direction tells why
		}
	}
	if err != nil {
		j.fail(err)
	}
	return n
}

func (j *joint) copy(dst, src Conn) (int64, error) {
	buf := buffers.Get().(*[vsock.MaxWrite]byte)
	defer buffers.Put(buf)
	var total int64
	for {
		n, err := src.Read(buf[:])
		if n > 0 {
			j.passed()
			written, err := dst.Write(buf[:n])
			total += int64(written)
			if err != nil {
				return total, err
			}
			j.passed()
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}
