// Package pipe joins two connections until both directions have ended.
package pipe

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
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
var buffers = sync.Pool{New: func() any { return new([vsock.MaxWrite]byte) }}

// Join copies from a to b and from b to a until both have ended, and closes both. An end of one
// direction is passed on as a half-close while the other goes on. A failure of either direction, the
// end of ctx, or no byte in either direction for idle (0: no limit) ends both.
// The error is nil if both directions ended with EOF.
func Join(ctx context.Context, a, b Conn, idle time.Duration) (Counts, error) {
	j := &joint{idle: idle, a: a, b: b}
	j.lastByte.Store(time.Now().UnixNano())
	stop := context.AfterFunc(ctx, func() { j.fail(context.Cause(ctx)) })
	defer stop()

	var counts Counts
	var both sync.WaitGroup
	both.Go(func() { counts.AToB = j.copyAndClose(b, a) })
	both.Go(func() { counts.BToA = j.copyAndClose(a, b) })
	both.Wait()
	_ = a.Close()
	_ = b.Close()
	j.mu.Lock()
	defer j.mu.Unlock()
	return counts, j.err
}

type joint struct {
	idle     time.Duration
	a, b     Conn
	lastByte atomic.Int64 // Unix nanoseconds of the last byte that passed, either way

	mu  sync.Mutex // held while err is set
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

// copyAndClose copies until src ends, then passes the end on to dst.
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
		n, err := j.read(src, buf[:])
		if n > 0 {
			j.lastByte.Store(time.Now().UnixNano())
			if err := j.write(dst, buf[:n]); err != nil {
				return total, err
			}
			total += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// read waits for bytes for as long as anything passes in either direction.
func (j *joint) read(src Conn, buf []byte) (int, error) {
	for {
		if err := j.setDeadline(src.SetReadDeadline); err != nil {
			return 0, err
		}
		n, err := src.Read(buf)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if j.isIdle() {
			return 0, ErrIdle
		}
	}
}

// write hands over all of b. What a deadline cut off is sent on for as long as anything passes the other way.
func (j *joint) write(dst Conn, b []byte) error {
	for written := 0; written < len(b); {
		if err := j.setDeadline(dst.SetWriteDeadline); err != nil {
			return err
		}
		n, err := dst.Write(b[written:])
		written += n
		if n > 0 {
			j.lastByte.Store(time.Now().UnixNano())
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if j.isIdle() {
				return ErrIdle
			}
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (j *joint) setDeadline(set func(time.Time) error) error {
	if j.idle == 0 {
		return nil
	}
	return set(time.Unix(0, j.lastByte.Load()).Add(j.idle))
}

func (j *joint) isIdle() bool {
	return time.Since(time.Unix(0, j.lastByte.Load())) >= j.idle
}
