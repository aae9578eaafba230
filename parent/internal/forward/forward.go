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
	// MaxPerSource is how many of them one client address may have. 0: no limit of its own.
	MaxPerSource int
	// ConnectTimeout bounds the dial, name resolution included.
	ConnectTimeout time.Duration
	// IdleTimeout ends a connection through which nothing passed in either direction. 0: no limit.
	IdleTimeout time.Duration
	// HalfOpenTimeout does so once one direction has ended. 0: no limit of its own.
	HalfOpenTimeout time.Duration
}

// Target is where a forwarder's connections go.
type Target struct {
	// Dial connects to it, and gives up when ctx ends.
	Dial func(ctx context.Context) (pipe.Conn, error)
	// Preface, unless it is nil, gives what the target is sent before all else: the client's first bytes, read to look at them, or
	// what is said about the client. It ends when the client's read deadline does. A [Refusal] turns the client away.
	Preface func(client pipe.Conn) ([]byte, error)
}

// Reason is why a client is turned away before its target is dialed.
type Reason string

// Reasons of the metrics.
const (
	ServerName Reason = "server_name" // its ClientHello names another host than its route
	NotTLS     Reason = "not_tls"     // it speaks something else on a route that is not marked plain
	NoHello    Reason = "no_hello"    // it ended, or the time to connect did, before it said who it wants
)

// Refusal turns a client away.
type Refusal struct {
	Reason Reason
	err    error
}

// Refuse makes a Refusal.
func Refuse(reason Reason, err error) *Refusal { return &Refusal{reason, err} }

func (r *Refusal) Error() string { return r.err.Error() }
func (r *Refusal) Unwrap() error { return r.err }

// ErrForbidden is a Target's for an address that no route may lead to.
var ErrForbidden = errors.New("address is forbidden as a target")

// Forwarder is an acceptor whose connections are passed on.
type Forwarder struct {
	*accept.Acceptor
	limits  Limits
	target  Target
	log     *zap.Logger
	metrics *Metrics
	dials   streak.Streak
	refused streak.Streak
}

// New prepares a forwarder. The accept configuration's limit is the one of limits.
func New(cfg accept.Config, limits Limits, target Target, log *zap.Logger, metrics *Metrics) *Forwarder {
	cfg.MaxConnections, cfg.MaxPerSource = limits.MaxConnections, limits.MaxPerSource
	metrics.prepare(cfg.Name)
	return &Forwarder{
		Acceptor: accept.New(cfg, log, metrics.accept),
		limits:   limits,
		target:   target,
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
	target, said, err := f.connect(ctx, client)
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		f.refuse(refusal)
		_ = near.Close()
		return
	}
	if err != nil {
		f.failed(err)
		_ = near.Close()
		return
	}
	f.dials.Heal(f.log, "target reached again")

	started := time.Now()
	counts, err := pipe.Join(ctx, client, target, pipe.Limits{Idle: f.limits.IdleTimeout, HalfOpen: f.limits.HalfOpenTimeout})
	counts.AToB += int64(said)
	f.metrics.bytes.WithLabelValues(f.Name(), string(toTarget)).Add(float64(counts.AToB))
	f.metrics.bytes.WithLabelValues(f.Name(), string(fromTarget)).Add(float64(counts.BToA))
	f.metrics.ended.WithLabelValues(f.Name(), string(endOf(ctx, err))).Inc()
	f.log.Debug("connection ended", zap.Int64("bytes_to_target", counts.AToB), zap.Int64("bytes_from_target", counts.BToA),
		zap.Duration("lasted", time.Since(started)), zap.Error(err))
}

// connect dials the target and sends it the preface, said bytes.
func (f *Forwarder) connect(ctx context.Context, client pipe.Conn) (target pipe.Conn, said int, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.limits.ConnectTimeout)
	defer cancel()
	preface, err := f.preface(ctx, client)
	if err != nil {
		return nil, 0, err
	}
	started := time.Now()
	if target, err = f.target.Dial(ctx); err != nil {
		return nil, 0, err
	}
	f.metrics.dialSeconds.WithLabelValues(f.Name()).Observe(time.Since(started).Seconds())
	if len(preface) > 0 {
		deadline, _ := ctx.Deadline()
		_ = target.SetWriteDeadline(deadline)
		if said, err = target.Write(preface); err != nil {
			_ = target.Close()
			return nil, 0, fmt.Errorf("send the first bytes: %w", err)
		}
		_ = target.SetWriteDeadline(time.Time{})
	}
	return target, said, nil
}

// preface asks for what the target is sent first.
func (f *Forwarder) preface(ctx context.Context, client pipe.Conn) ([]byte, error) {
	if f.target.Preface == nil {
		return nil, nil
	}
	late := context.AfterFunc(ctx, func() { _ = client.SetReadDeadline(time.Unix(1, 0)) })
	preface, err := f.target.Preface(client)
	if !late() && err == nil {
		return nil, context.Cause(ctx) // its reads fail from now on
	}
	if err == nil {
		f.refused.Heal(f.log, "clients are passed on again")
	}
	return preface, err
}

// refuse counts a client that was turned away. One that left before it said anything is everyday: it dialed twice, or gave up.
func (f *Forwarder) refuse(refusal *Refusal) {
	f.metrics.refused.WithLabelValues(f.Name(), string(refusal.Reason)).Inc()
	if refusal.Reason == NoHello {
		f.log.Debug("client said nothing", zap.Error(refusal))
		return
	}
	f.refused.Fail(f.log, "connection refused", string(refusal.Reason), refusal)
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
	case errors.Is(err, ErrForbidden):
		return failedForbidden
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
	case errors.Is(err, pipe.ErrHalfOpen):
		return endHalfOpen
	case ctx.Err() != nil:
		return endCut
	}
	return endBroken
}
