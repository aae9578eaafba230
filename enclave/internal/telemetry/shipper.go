package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

const (
	defaultLines = 10_000
	defaultBytes = 32 << 20

	// linger is how long the first line of a batch waits for others, so that many lines are few packets: floods of
	// small packets stall vsock connections on some kernels.
	linger = 10 * time.Millisecond
	// writeLimit is how long one batch may take before the connection is taken for dead.
	writeLimit = 5 * time.Second
	// dialLimit is how long one connection may take to be made.
	dialLimit = 5 * time.Second
	// flushLimit is how long the end of the process waits for its last lines to leave.
	flushLimit = time.Second

	minPause = 100 * time.Millisecond
	maxPause = 5 * time.Second
	jitter   = 0.2
)

// Bounds limit the lines that wait for the sink. What does not fit is dropped, the newest first: the oldest tell what
// happened before the sink went away.
type Bounds struct {
	Lines int // 0 is 10,000
	Bytes int // 0 is 32 MiB
}

// Shipped is an output that never blocks whoever logs: lines wait in a bounded buffer until [Logs.Run] has connected to the
// sink with dial. A connection that breaks is made again after 100 ms, doubling to 5 s, each ±20 %.
//
// The sink does not acknowledge. A line whose write was cut off is sent again from its start on the next connection,
// so that the sink may see its beginning twice; lines that a dead sink had accepted but not read are lost. The
// line's seq shows either.
func Shipped(dial func(context.Context) (net.Conn, error), bounds Bounds) Output {
	if bounds.Lines <= 0 {
		bounds.Lines = defaultLines
	}
	if bounds.Bytes <= 0 {
		bounds.Bytes = defaultBytes
	}
	return &shipper{dial: dial, ring: newRing(bounds.Lines, bounds.Bytes)}
}

type shipper struct {
	dial  func(context.Context) (net.Conn, error)
	ring  *ring
	buf   []byte          // the batch under way; owned by run
	pause backoff.BackOff // owned by run; starts anew with each batch that was written
	fault fault           // owned by run
}

func (s *shipper) put(line []byte) bool { return s.ring.push(line) }

func (s *shipper) resize(lines int) { s.ring.resize(lines) }

func (s *shipper) run(ctx context.Context, l *Logs) error {
	last, cancel := endAfter(ctx, flushLimit)
	defer cancel()
	s.pause = newPause()
	s.fault = fault{log: l.logger.Named("telemetry")}
	for {
		err := s.connectAndShip(ctx, last, l)
		if err == nil {
			return nil
		}
		l.linkFailures.Add(1)
		s.fault.tell(err)
		if !s.wait(ctx, last) {
			left, _ := s.ring.size()
			l.dropped.Add(uint64(left))
			return fmt.Errorf("flush logs: %d lines not delivered within %v: %w", left, flushLimit, err)
		}
	}
}

// wait pauses before the next connection; it returns false when there will be none. The end of ctx cuts the pause short,
// because what is left of the time is for flushing.
func (s *shipper) wait(ctx, last context.Context) bool {
	ended := ctx.Done()
	if ctx.Err() != nil {
		ended = nil
	}
	timer := time.NewTimer(s.pause.NextBackOff())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ended:
		s.pause.Reset()
	case <-last.Done():
	}
	return last.Err() == nil
}

// connectAndShip returns nil when ctx has ended and all lines are written, any failure of the connection otherwise.
func (s *shipper) connectAndShip(ctx, last context.Context, l *Logs) error {
	if lines, _ := s.ring.size(); lines == 0 && ctx.Err() != nil {
		return nil
	}
	dialing, cancel := context.WithTimeout(last, dialLimit)
	defer cancel()
	conn, err := s.dial(dialing)
	if err != nil {
		return fmt.Errorf("connect to the log sink: %w", err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(last, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	return s.ship(ctx, last, conn, l)
}

func (s *shipper) ship(ctx, last context.Context, conn net.Conn, l *Logs) error {
	for s.await(ctx, l) {
		s.buf = s.ring.batch(s.buf, vsock.MaxWrite)
		if err := conn.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
			return fmt.Errorf("write to the log sink: %w", err)
		}
		if last.Err() != nil { // asked after the deadline was set, because the end of last sets another
			return fmt.Errorf("write to the log sink: %w", context.Cause(last))
		}
		n, err := writeCapped(conn, s.buf)
		s.ring.release(n)
		if err != nil {
			return fmt.Errorf("write to the log sink: %w", err)
		}
		s.pause.Reset()
		s.fault.healed()
	}
	return nil
}

// await returns true when there is something to write, false when ctx has ended and nothing is left.
func (s *shipper) await(ctx context.Context, l *Logs) bool {
	for {
		lines, size := s.ring.size()
		if lines == 0 && l.untold() {
			l.logger.Named("telemetry").Error("log lines were dropped and none came after them")
			lines, size = s.ring.size()
		}
		switch {
		case size >= vsock.MaxWrite || lines > 0 && ctx.Err() != nil:
			return true
		case lines > 0:
			select {
			case <-time.After(linger):
			case <-ctx.Done():
			}
			return true
		case ctx.Err() != nil:
			return false
		}
		select {
		case <-s.ring.filled:
		case <-ctx.Done():
		}
	}
}

// writeCapped writes b in pieces that a vsock takes, and returns how much was written.
func writeCapped(conn net.Conn, b []byte) (int, error) {
	written := 0
	for written < len(b) {
		n, err := conn.Write(b[written:min(len(b), written+vsock.MaxWrite)])
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// fault logs the first and every changed reason of an outage, and its end. The lines wait in the buffer with the others.
type fault struct {
	log    *zap.Logger
	reason string
	since  time.Time
	tries  int
}

func (f *fault) tell(err error) {
	if f.tries == 0 {
		f.since = time.Now()
	}
	f.tries++
	if err.Error() != f.reason {
		f.reason = err.Error()
		f.log.Warn("log sink lost", zap.Error(err))
	}
}

func (f *fault) healed() {
	if f.tries == 0 {
		return
	}
	f.log.Info("log sink reached", zap.Int("failures", f.tries), zap.Duration("outage", time.Since(f.since)))
	*f = fault{log: f.log}
}

// endAfter returns a context that ends some time after ctx has ended.
func endAfter(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	timer := make(chan *time.Timer, 1)
	stop := context.AfterFunc(ctx, func() {
		timer <- time.AfterFunc(d, func() { cancel(errors.New("the time to flush is over")) })
	})
	return late, func() {
		if !stop() {
			(<-timer).Stop()
		}
		cancel(nil)
	}
}

func newPause() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(minPause),
		backoff.WithMaxInterval(maxPause),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(jitter),
		backoff.WithMaxElapsedTime(0), // never give up
	)
}
