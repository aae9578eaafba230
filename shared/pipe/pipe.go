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
)

var (
	// ErrIdle ends a pipe through which nothing has passed for the idle time.
	ErrIdle = errors.New("idle for too long")
	// ErrHalfOpen ends a pipe one direction of which has ended, and through which nothing has passed since for the half-open time.
	ErrHalfOpen = errors.New("half-open and idle for too long")
)

// Limits are how long a pipe may be silent, in either direction, before it is ended. 0: no limit.
type Limits struct {
	Idle time.Duration
	// HalfOpen counts once one direction has ended: a peer that vanished behind a half-close says nothing any more.
	HalfOpen time.Duration
}

// Conn is a connection that can be closed in one direction: TCP, unix, vsock, TLS. One that buffers what it reads must not be a syscall.Conn
// as well: it would be read around its buffer.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// Counts are the bytes that each direction delivered.
type Counts struct {
	AToB int64
	BToA int64
}

// Join copies from a to b and from b to a until both have ended, and closes both. An end of one
// direction is passed on as a half-close while the other goes on. A failure of either direction, the
// end of ctx, or silence beyond the limits (no read or write that ended, in either direction) ends both.
// The error is nil if both directions ended with EOF.
//
// A peer that takes no more (EPIPE, ECONNRESET, ENOTCONN) may have answered all the same: what comes for it is dropped, unheard by the limits, and
// the other direction goes on to its own end. The error is then that of the write. A reset of one side reaches the other as an end: what
// passes here says by itself where it is complete, as TLS, HTTP and PostgreSQL do.
//
// A connection that waits costs a goroutine for each direction and no buffer, if both are sockets.
func Join(ctx context.Context, a, b Conn, limits Limits) (Counts, error) {
	j := &joint{a: a, b: b, limits: limits, start: time.Now()}
	unhook := context.AfterFunc(ctx, func() { j.fail(context.Cause(ctx)) })
	j.watch()
	var counts Counts
	var other sync.WaitGroup
	other.Go(func() { counts.BToA = j.copyAndClose(a, b) })
	counts.AToB = j.copyAndClose(b, a)
	other.Wait()
	unhook()
	err := j.finish()
	_ = a.Close()
	_ = b.Close()
	return counts, err
}

type joint struct {
	a, b   Conn
	limits Limits
	start  time.Time
	last   atomic.Int64 // when a byte passed last, either way: nanoseconds since start, on the monotonic clock

	mu       sync.Mutex // held while any of these is read or changed
	err      error      // why both directions were ended, or one was cut short; the first reason stays
	half     bool       // one direction has ended
	finished bool       // both have
	timer    *time.Timer
}

// fail ends both directions by closing both connections.
func (j *joint) fail(err error) {
	j.note(err)
	_ = j.a.Close()
	_ = j.b.Close()
}

func (j *joint) note(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = err
	}
}

// finish stops the clock.
func (j *joint) finish() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.finished = true
	if j.timer != nil {
		j.timer.Stop()
	}
	return j.err
}

// watch ends both directions if the silence so far is too long, and else sets a clock for the moment at which it will be. The clock
// runs out and is set again, rather than being set for each byte. Deadlines on the connections would not do: a TLS connection is broken
// by a write that timed out, though the other direction lives.
func (j *joint) watch() {
	if err := j.tooSilent(); err != nil {
		j.fail(err)
	}
}

func (j *joint) tooSilent() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	limit, err := j.limits.Idle, ErrIdle
	if h := j.limits.HalfOpen; j.half && h > 0 && (limit == 0 || h < limit) {
		limit, err = h, ErrHalfOpen
	}
	if limit == 0 || j.finished {
		return nil
	}
	left := limit - (time.Since(j.start) - time.Duration(j.last.Load()))
	if left <= 0 {
		return err
	}
	if j.timer == nil {
		j.timer = time.AfterFunc(left, j.watch)
	} else {
		j.timer.Reset(left)
	}
	return nil
}

// halfClosed has the limit of half-open pipes count from now on.
func (j *joint) halfClosed() {
	j.passed()
	j.mu.Lock()
	j.half = true
	j.mu.Unlock()
	j.watch()
}

// passed notes that bytes went through just now.
func (j *joint) passed() { j.last.Store(int64(time.Since(j.start))) }

// copyAndClose copies until src ends, then passes the end on to dst. It returns the bytes that dst took.
func (j *joint) copyAndClose(dst, src Conn) int64 {
	n, err := j.copy(dst, src)
	if err == nil {
		err = unconnected(dst.CloseWrite())
		if gone(err) || errors.Is(err, net.ErrClosed) {
			err = nil // the peer is gone altogether; its own direction tells why
		}
	}
	if err != nil {
		j.fail(err)
		return n
	}
	j.halfClosed()
	return n
}

func (j *joint) copy(dst, src Conn) (int64, error) {
	from := newSource(src)
	defer from.release()
	var total int64
	for {
		b, err := from.read()
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		if len(b) == 0 { // a transport may give nothing without an end
			continue
		}
		j.passed()
		written, err := dst.Write(b)
		total += int64(written)
		if err = unconnected(err); gone(err) {
			j.note(err)
			return total, j.discard(from)
		}
		if err != nil {
			return total, err
		}
		j.passed()
	}
}

// unconnected undoes what package mdlayher/vsock makes of ENOTCONN, which it returns for a vsock that was reset: io.EOF, of a write as well.
func unconnected(err error) error {
	if errors.Is(err, io.EOF) {
		return syscall.ENOTCONN
	}
	return err
}

// gone says whether a write failed because its peer takes nothing more.
func gone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ENOTCONN)
}

// discard reads until src ends, for a peer that is gone. Closing src instead would reset it, since there is more to read, and a reset
// drops what the other direction has for it. What is dropped has not passed: a client that goes on writing does not hold the pipe open.
func (j *joint) discard(from *source) error {
	j.halfClosed()
	for {
		if _, err := from.read(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
