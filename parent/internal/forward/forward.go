// Package forward joins every accepted connection with one that it dials.
package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/streak"
	"github.com/unforeseen-consequences/containment-chamber/shared/pipe"
)

// Limits bound one forwarder.
type Limits struct {
	// MaxConnections is how many connections live at a time; one more is closed at once.
	MaxConnections int
	// ConnectTimeout bounds the dial, name resolution included.
	ConnectTimeout time.Duration
	// IdleTimeout ends a connection through which nothing passed in either direction. 0: no limit.
	IdleTimeout time.Duration
}

// DialFunc connects to the one target of a forwarder, and gives up when ctx ends.
type DialFunc func(ctx context.Context) (pipe.Conn, error)

// Forwarder is an acceptor whose connections are passed on.
type Forwarder struct {
	*accept.Acceptor
	limits  Limits
	dial    DialFunc
	log     *zap.Logger
	metrics *Metrics
	dials   streak.Streak
}

// New prepares a forwarder. The accept configuration's limit is the one of limits.
func New(cfg accept.Config, limits Limits, dial DialFunc, log *zap.Logger, metrics *Metrics) *Forwarder {
	cfg.MaxConnections = limits.MaxConnections
	metrics.prepare(cfg.Name)
	return &Forwarder{
		Acceptor: accept.New(cfg, log, metrics.accept),
		limits:   limits,
		dial:     dial,
		log:      log.With(zap.String("listener", cfg.Name)),
		metrics:  metrics,
	}
}

// Run forwards until ctx ends, lets what is open end by itself, and cuts the rest with cut.
func (f *Forwarder) Run(ctx, cut context.Context) error {
	return f.Acceptor.Run(ctx, cut, f.forward)
}

// forward owns near. Without a target it closes it at once: a client that is refused fails over, one that is held does not.
func (f *Forwarder) forward(ctx context.Context, near net.Conn) {
	client, ok := near.(pipe.Conn)
	if !ok {
		_ = near.Close()
		f.failed(fmt.Errorf("connection of type %T cannot be half-closed", near))
		return
	}
	target, err := f.connect(ctx)
	if err != nil {
		_ = near.Close()
		f.failed(err)
		return
	}
	f.dials.Heal(f.log, "target reached again")

	started := time.Now()
	counts, err := pipe.Join(ctx, client, target, f.limits.IdleTimeout)
	f.metrics.bytes.WithLabelValues(f.Name(), string(toTarget)).Add(float64(counts.AToB))
	f.metrics.bytes.WithLabelValues(f.Name(), string(fromTarget)).Add(float64(counts.BToA))
	f.metrics.ended.WithLabelValues(f.Name(), string(endOf(ctx, err))).Inc()
	f.log.Debug("connection ended", zap.Int64("bytes_to_target", counts.AToB), zap.Int64("bytes_from_target", counts.BToA),
		zap.Duration("lasted", time.Since(started)), zap.Error(err))
}

func (f *Forwarder) connect(ctx context.Context) (pipe.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, f.limits.ConnectTimeout)
	defer cancel()
	return f.dial(ctx)
}

func (f *Forwarder) failed(err error) {
	why := classify(err)
	f.metrics.dialFailures.WithLabelValues(f.Name(), string(why)).Inc()
	f.dials.Fail(f.log, "cannot reach the target; connection closed", string(why), err)
}

// classify finds why a dial failed.
func classify(err error) dialFailure {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && !dns.IsTimeout {
		return failedName
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return failedTimeout
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.ENOENT):
		return failedRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ENODEV):
		return failedUnreachable
	}
	return failedOther
}

// endOf finds how a joined connection ended.
func endOf(ctx context.Context, err error) end {
	switch {
	case err == nil:
		return endClosed
	case errors.Is(err, pipe.ErrIdle):
		return endIdle
	case ctx.Err() != nil:
		return endCut
	}
	return endBroken
}
