package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// Session is the conversation with the boot service after the configuration came. Its methods are called one after another.
type Session struct {
	// Draining, unless it is nil, is called by Run with true when the parent says that it is about to stop, and with false when one
	// answers that is not. What is between them is not known: nobody answers.
	Draining func(bool)

	draining bool // as it was told last
	network  vsock.Network
	log      *zap.Logger
	conn     vsock.Conn // nil while there is none
	digest   [wire.DigestSize]byte
}

// Acknowledge tells the parent that the configuration was accepted under this digest.
func (s *Session) Acknowledge(ctx context.Context, digest [wire.DigestSize]byte) error {
	if s.conn == nil {
		return errClosed
	}
	s.digest = digest
	return send(ctx, s.conn, wire.Acknowledgement{Digest: digest})
}

// Refuse tells the parent why its configuration was not accepted, in at most 1 KiB, and ends the conversation. It has a limit of its
// own and no context, because a start that has ended has this left to say.
func (s *Session) Refuse(reason string) error {
	if s.conn == nil {
		return errClosed
	}
	return errors.Join(send(context.Background(), s.conn, wire.Refusal{Reason: reason}), s.Close())
}

var errClosed = errors.New("the boot session is closed")

// Close ends the connection, if there is one.
func (s *Session) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	if err != nil {
		return fmt.Errorf("close boot session: %w", err)
	}
	return nil
}

// Run sends a heartbeat every [wire.HeartbeatEvery] until ctx ends. A parent that is silent for [wire.HeartbeatLost] or breaks off is
// connected to again after 100 ms, doubling to 5 s, each ±20 %; what is lost and found again is logged. The parent cannot end it: to
// stop signing because the parent went away would only give it one more way to make us miss duties.
func (s *Session) Run(ctx context.Context) error {
	defer func() { _ = s.Close() }()
	out := outage{log: s.log}
	pause := newPause()
	for {
		err := s.beat(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			out.over()
			if err = s.listen(ctx); err == nil {
				pause.Reset() // a parent that answers and breaks off is not one that is there
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			_ = s.Close()
			out.tell(err)
			if !sleep(ctx, pause.NextBackOff()) {
				return nil
			}
		}
	}
}

// listen waits until the next heartbeat is due. A parent that is about to stop does not wait to be asked.
func (s *Session) listen(ctx context.Context) error {
	due, told := time.Now().Add(wire.HeartbeatEvery), false
	for {
		var m wire.Message
		err := within(ctx, s.conn, time.Until(due), func() (err error) {
			m, err = wire.ReadMessage(s.conn)
			return err
		})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return fmt.Errorf("%s, between two heartbeats: %w", peer, err)
		}
		if _, ok := m.(wire.Draining); !ok || told { // once: the parent does not set the pace of our work
			return unwanted(m)
		}
		told = true
		s.tell(true)
	}
}

// tell says what has changed.
func (s *Session) tell(draining bool) {
	if draining == s.draining {
		return
	}
	s.draining = draining
	if draining {
		s.log.Info("the parent is about to stop: clients are asked to leave")
	} else {
		s.log.Info("a parent is there that is not about to stop")
	}
	if s.Draining != nil {
		s.Draining(draining)
	}
}

// beat sends one heartbeat, on a new connection if there is none.
func (s *Session) beat(ctx context.Context) error {
	if s.conn == nil {
		conn, answer, err := open(ctx, s.network, true)
		if err != nil {
			return err
		}
		s.conn = conn
		switch answer.(type) {
		case wire.Heartbeat: // a parent that started anew has no digest to echo yet
		case wire.Draining:
		default:
			return unwanted(answer)
		}
	}
	answer, err := exchange(ctx, s.conn, wire.Heartbeat{Digest: s.digest}, wire.HeartbeatLost)
	if err != nil {
		return err
	}
	if _, ok := answer.(wire.Draining); ok {
		s.tell(true)
		return nil
	}
	echo, ok := answer.(wire.Heartbeat)
	if !ok {
		return unwanted(answer)
	}
	if echo.Digest != s.digest {
		return fmt.Errorf("%s answered a heartbeat with digest %x… instead of %x…", peer, echo.Digest[:8], s.digest[:8])
	}
	s.tell(false)
	return nil
}

// outage logs the first and every changed reason why the boot service is not there, and its end.
type outage struct {
	log    *zap.Logger
	reason string
	since  time.Time
	tries  int
}

func (o *outage) tell(err error) {
	if o.tries == 0 {
		o.since = time.Now()
	}
	o.tries++
	if err.Error() != o.reason {
		o.reason = err.Error()
		o.log.Warn("boot service does not answer", zap.Error(err))
	}
}

func (o *outage) over() {
	if o.tries == 0 {
		return
	}
	o.log.Info("boot service answers", zap.Int("failures", o.tries), zap.Duration("outage", time.Since(o.since)))
	*o = outage{log: o.log}
}
