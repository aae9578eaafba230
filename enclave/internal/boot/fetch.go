package boot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

const (
	// dialLimit is how long one connection to the boot service may take to be made.
	dialLimit = 5 * time.Second
	// answerLimit is how long the boot service may take for one answer, a configuration of 1 MiB included.
	answerLimit = 10 * time.Second

	minPause = 100 * time.Millisecond
	maxPause = 5 * time.Second
	jitter   = 0.2
)

// ErrRefused is in the error of [Fetch] when waiting cannot help: the boot service refused, or broke the protocol.
var ErrRefused = errors.New("the boot service will not give a configuration")

// Fetch gets the configuration from the parent's boot service, [wire.PortBoot] on [vsock.CIDParent]. A service that is not
// there, hangs or breaks off is tried again until ctx ends, each reason logged once and told to the stage's progress; one that
// refuses is not. The error is the last reason. The configuration is at most [wire.MaxConfiguration] bytes and hostile. The
// session is to be acknowledged or refused within seconds: the parent does not wait for ever.
func Fetch(ctx context.Context, network vsock.Network, log *zap.Logger) (*Session, []byte, error) {
	out := outage{log: log}
	pause := newPause()
	var reason error
	for {
		conn, yaml, err := fetch(ctx, network)
		if err == nil {
			out.over()
			return &Session{network: network, log: log, conn: conn}, yaml, nil
		}
		if reason == nil || ctx.Err() == nil {
			reason = err // but not that the last try was cut short, if another said more
		}
		if errors.Is(err, ErrRefused) || ctx.Err() != nil {
			return nil, nil, fmt.Errorf("fetch the configuration: %w", reason)
		}
		out.tell(reason)
		Retrying(ctx, reason)
		if !sleep(ctx, pause.NextBackOff()) {
			return nil, nil, fmt.Errorf("fetch the configuration: %w", reason)
		}
	}
}

// fetch is one try.
func fetch(ctx context.Context, network vsock.Network) (vsock.Conn, []byte, error) {
	conn, answer, err := open(ctx, network, false)
	if err != nil {
		return nil, nil, err
	}
	if c, ok := answer.(wire.Configuration); ok {
		return conn, c.YAML, nil
	}
	_ = conn.Close()
	return nil, nil, fmt.Errorf("%w: %w", ErrRefused, unwanted(answer))
}

// open connects and says hello. The connection is the caller's if there is no error.
func open(ctx context.Context, network vsock.Network, configured bool) (vsock.Conn, wire.Message, error) {
	return begin(ctx, network, wire.Hello{Version: wire.Version, Configured: configured})
}

// begin connects and says the first word of a conversation. The connection is the caller's if there is no error.
func begin(ctx context.Context, network vsock.Network, first wire.Message) (vsock.Conn, wire.Message, error) {
	dialing, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	conn, err := network.Dial(dialing, vsock.CIDParent, wire.PortBoot)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the parent's boot service: %w", err)
	}
	answer, err := exchange(ctx, conn, first, answerLimit)
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, answer, nil
}

// exchange sends one message and waits for its answer.
func exchange(ctx context.Context, conn vsock.Conn, m wire.Message, limit time.Duration) (wire.Message, error) {
	if err := send(ctx, conn, m); err != nil {
		return nil, err
	}
	var answer wire.Message
	err := within(ctx, conn, limit, func() (err error) {
		answer, err = wire.ReadMessage(conn)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s, answering %s: %w", peer, name(m), err)
	}
	return answer, nil
}

func send(ctx context.Context, conn vsock.Conn, m wire.Message) error {
	err := within(ctx, conn, answerLimit, func() error { return wire.WriteMessage(conn, m) })
	if err != nil {
		return fmt.Errorf("%s, sent %s: %w", peer, name(m), err)
	}
	return nil
}

// within calls f, whose reads and writes fail when the limit is over or ctx ends.
func within(ctx context.Context, conn vsock.Conn, limit time.Duration, f func() error) error {
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err := f()
	if !stop() { // the deadline is in the past: whatever f did, the connection is of no use
		return context.Cause(ctx)
	}
	return explain(err, limit)
}

// peer is how errors name the other end.
const peer = "parent's boot service (vsock port 7001)"

func name(m wire.Message) string {
	switch m.(type) {
	case wire.Hello:
		return "hello"
	case wire.Configuration:
		return "a configuration"
	case wire.Acknowledgement:
		return "an acknowledgement"
	case wire.Heartbeat:
		return "a heartbeat"
	case wire.Refusal:
		return "a refusal"
	case wire.IdentityRequest:
		return "an identity request"
	case wire.Identity:
		return "an identity"
	case wire.Draining:
		return "that it is about to stop"
	}
	return fmt.Sprintf("%T", m)
}

// unwanted says what came in an answer's place.
func unwanted(m wire.Message) error {
	if r, ok := m.(wire.Refusal); ok {
		return fmt.Errorf("%s refused: %q", peer, r.Reason)
	}
	return fmt.Errorf("%s answered with %s", peer, name(m))
}

func explain(err error, limit time.Duration) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("it hangs, nothing whole within %v: %w", limit, err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("closed by it: %w", err)
	case errors.Is(err, wire.ErrTooLarge):
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// sleep returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func newPause() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(minPause),
		backoff.WithMaxInterval(maxPause),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(jitter),
		backoff.WithMaxElapsedTime(0), // until the context ends
	)
}
