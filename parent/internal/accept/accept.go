// Package accept takes the connections of one listener, up to a limit.
package accept

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/streak"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/supervisor"
)

// Config says what to accept.
type Config struct {
	// Name stands in logs and as the label of metrics, as "egress/kms".
	Name string
	// Listen opens the listener.
	Listen func() (net.Listener, error)
	// Check refuses a peer by an error. Nil: every peer is welcome.
	Check func(net.Conn) error
	// MaxConnections is how many connections live at a time. One more is closed at once and counted: a peer
	// that is told can try elsewhere, one that waits in a queue cannot.
	MaxConnections int
	// MaxPerSource is how many of them one IP address may have, a /64 of IPv6 standing for one. 0: no limit of its own.
	MaxPerSource int
}

// Acceptor accepts connections. Bind is called before Run, if at all; Run by one goroutine at a time.
type Acceptor struct {
	cfg     Config
	log     *zap.Logger
	metrics *Metrics
	bound   net.Listener // from Bind, until Run or Release takes it
	open    sync.Mutex   // held while a Run has the listener open, and while bound is taken
	active  atomic.Int64 // raised by Run's loop alone, lowered by the connections' goroutines
	refused streak.Streak
	sources sources
}

// New prepares an acceptor.
func New(cfg Config, log *zap.Logger, metrics *Metrics) *Acceptor {
	metrics.prepare(cfg.Name)
	return &Acceptor{cfg: cfg, log: log, metrics: metrics}
}

// Name is the configured name.
func (a *Acceptor) Name() string { return a.cfg.Name }

// Bind opens the listener for the Run to come, so that an address in use is known before anything runs.
func (a *Acceptor) Bind() error {
	l, err := a.cfg.Listen()
	if err != nil {
		return fmt.Errorf("%s: %w", a.cfg.Name, err)
	}
	a.bound = l
	a.log.Info("listening", zap.String("listener", a.cfg.Name), zap.Stringer("address", l.Addr()))
	return nil
}

// Release closes what Bind opened and no Run has taken.
func (a *Acceptor) Release() {
	if l := a.bound; l != nil {
		a.bound = nil
		_ = l.Close()
	}
}

// Run accepts until ctx ends and returns when the last connection has been handled. Each connection belongs to one call of
// handle, which closes it, and ends it when its context does: with cut, or when the listener broke.
func (a *Acceptor) Run(ctx, cut context.Context, handle func(context.Context, net.Conn)) error {
	cut, cancel := context.WithCancel(cut)
	defer cancel()
	var live sync.WaitGroup
	err := a.listen(ctx, func(c net.Conn) {
		live.Go(func() {
			defer a.leave(c)
			handle(cut, c)
		})
	})
	if err != nil {
		cancel()
	}
	live.Wait()
	return err
}

// WaitClosed waits until the listener of a Run whose context has ended is closed, also if that Run has not come to take it from Bind. Its
// connections may live on.
func (a *Acceptor) WaitClosed() {
	a.open.Lock()
	defer a.open.Unlock()
	a.Release()
}

// listen accepts with the bound listener, or opens one, and closes it.
func (a *Acceptor) listen(ctx context.Context, serve func(net.Conn)) error {
	a.open.Lock()
	defer a.open.Unlock()
	if a.bound == nil {
		if ctx.Err() != nil {
			return nil
		}
		if err := a.Bind(); err != nil {
			return asPermanent(err)
		}
	}
	l := a.bound
	a.bound = nil
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer func() {
		stop()
		_ = l.Close()
	}()
	return a.loop(ctx, l, serve)
}

// loop accepts until ctx ends. An error of accept, as too many open files, is waited out; only a listener that was closed by
// somebody else ends the loop.
func (a *Acceptor) loop(ctx context.Context, l net.Listener, serve func(net.Conn)) error {
	var failures streak.Streak
	pauses := backoff.NewExponentialBackOff(backoff.WithInitialInterval(5*time.Millisecond),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0))
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = c.Close()
			}
			return nil // its end closed the listener
		}
		switch {
		case err == nil:
			failures.Heal(a.log, "accepting again")
			pauses.Reset()
			if a.admit(c) {
				serve(c)
			}
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("%s: accept: %w", a.cfg.Name, err)
		default:
			a.metrics.acceptErrors.WithLabelValues(a.cfg.Name).Inc()
			failures.Fail(a.log, "cannot accept", err.Error(), err)
			wait(ctx, pauses.NextBackOff())
		}
	}
}

// admit takes a connection in or closes it.
func (a *Acceptor) admit(c net.Conn) bool {
	if a.cfg.Check != nil {
		if err := a.cfg.Check(c); err != nil {
			a.refuse(c, refusedPeer, err)
			return false
		}
	}
	active, most := a.active.Load(), int64(a.cfg.MaxConnections)
	if active >= most {
		a.refuse(c, refusedFull, fmt.Errorf("all %d connections are taken", a.cfg.MaxConnections))
		return false
	}
	if !a.sources.enter(c, a.cfg.MaxPerSource) {
		a.refuse(c, refusedSource, fmt.Errorf("%v has %d connections already", sourceOf(c), a.cfg.MaxPerSource))
		return false
	}
	if active <= most/2 { // else each client that comes and goes at the limit would be told
		a.refused.Heal(a.log, "taking connections again")
	}
	a.active.Add(1)
	a.metrics.active.WithLabelValues(a.cfg.Name).Inc()
	a.metrics.accepted.WithLabelValues(a.cfg.Name).Inc()
	return true
}

func (a *Acceptor) refuse(c net.Conn, why refusal, err error) {
	_ = c.Close()
	a.metrics.refused.WithLabelValues(a.cfg.Name, string(why)).Inc()
	a.refused.Fail(a.log.With(zap.String("listener", a.cfg.Name)), "connection refused", string(why), err)
}

func (a *Acceptor) leave(c net.Conn) {
	a.sources.leave(c)
	a.active.Add(-1)
	a.metrics.active.WithLabelValues(a.cfg.Name).Dec()
}

// asPermanent marks what no restart heals: missing permission, a socket directory that is gone. An address in use may be free again.
func asPermanent(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EAFNOSUPPORT) {
		return supervisor.Permanent(err)
	}
	return err
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
