// Package boot hands the enclave its configuration and AWS identity, and watches its heartbeat.
package boot

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/streak"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

const (
	// maxConversations leaves room for an enclave that restarts before its last connection is seen to be dead.
	maxConversations = 8
	// stepTimeout bounds every read and write before the heartbeats, except for the acknowledgement.
	stepTimeout = 10 * time.Second
	// acknowledgeTimeout bounds what the enclave does with its configuration: parse, check, extend a register. It is above the sum
	// of the enclave's own limits for that, 10 s and 30 s, or the parent would give up on a slow security module before the enclave does.
	acknowledgeTimeout = time.Minute
)

// Config says where the service listens and what it hands over.
type Config struct {
	Network       vsock.Network
	Port          uint32 // [wire.PortBoot]
	CID           uint32 // the enclave's; no other peer is admitted
	Configuration []byte // YAML, at most [wire.MaxConfiguration] bytes
	// Getenv looks up an environment variable, in which AWS's platforms tell what they give credentials for. Nil: nothing is told.
	Getenv func(name string) string
}

// Service is the parent's side of the boot protocol.
type Service struct {
	*accept.Acceptor
	configuration atomic.Pointer[[]byte] // for the next enclave that asks
	log           *zap.Logger
	metrics       *metrics
	failures      streak.Streak
	getenv        func(string) string
	unidentified  streak.Streak   // failures to give an AWS identity
	visits        atomic.Uint64   // connections so far
	draining      context.Context //nolint:containedctx // ends with Drain: a signal that conversations wait for
	drain         context.CancelFunc
	state         state
}

type metrics struct {
	handovers, failures, lost prometheus.Counter
	identities                *prometheus.CounterVec // by result
}

// New prepares the service.
func New(cfg Config, log *zap.Logger, acceptors *accept.Metrics, registry prometheus.Registerer) *Service {
	auto := promauto.With(registry)
	counter := func(name, help string) prometheus.Counter {
		return auto.NewCounter(prometheus.CounterOpts{Name: "containment_parent_" + name + "_total", Help: help})
	}
	s := &Service{
		Acceptor: accept.New(accept.Config{
			Name:           "boot",
			Listen:         func() (net.Listener, error) { return cfg.Network.Listen(cfg.Port) },
			Check:          func(c net.Conn) error { return vsock.CheckPeer(c, cfg.CID) },
			MaxConnections: maxConversations,
		}, log, acceptors),
		log: log,
		metrics: &metrics{
			handovers: counter("boot_configurations", "Configurations that an enclave acknowledged."),
			failures:  counter("boot_failures", "Conversations of the boot service that failed."),
			lost:      counter("heartbeat_losses", "Times that the enclave's heartbeat was lost: its connection ended, it fell silent, or it started anew."),

			identities: newIdentities(auto),
		},
		getenv: cfg.Getenv,
	}
	if s.getenv == nil {
		s.getenv = func(string) string { return "" }
	}
	s.draining, s.drain = context.WithCancel(context.Background())
	s.Configure(cfg.Configuration)
	auto.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "containment_parent_enclave_alive",
		Help: "1 while an enclave has its configuration and its heartbeat arrives, else 0.",
	}, func() float64 {
		if s.Ready() != nil {
			return 0
		}
		return 1
	})
	return s
}

// Configure sets what an enclave is handed that comes without a configuration; one that has one keeps it.
func (s *Service) Configure(configuration []byte) { s.configuration.Store(&configuration) }

// Drain has the enclave tell its clients, from now on, to come back through another parent: this one is about to stop.
func (s *Service) Drain() { s.drain() }

// Ready returns nil while an enclave has acknowledged its configuration and its heartbeat arrives, else what is missing.
func (s *Service) Ready() error { return s.state.ready() }

// Run serves until ctx ends. Conversations end with it: they have no end of their own to wait for.
func (s *Service) Run(ctx, cut context.Context) error {
	return s.Acceptor.Run(ctx, cut, func(cut context.Context, c net.Conn) {
		for _, end := range []context.Context{ctx, cut} {
			unhook := context.AfterFunc(end, func() { _ = c.Close() })
			defer unhook()
		}
		s.serve(ctx, c)
	})
}

// serve owns c.
func (s *Service) serve(ctx context.Context, c net.Conn) {
	defer func() { _ = c.Close() }()
	v := visit(s.visits.Add(1))
	m, err := receive(c, stepTimeout)
	if request, ok := m.(wire.IdentityRequest); ok {
		s.identify(ctx, c, request)
		return
	}
	step, err := s.converse(v, c, m, err)
	if ctx.Err() != nil {
		return // we ended it
	}
	s.ended(v, err)
	if errors.Is(err, io.EOF) && step == stepHeartbeat {
		s.log.Info("enclave closed its boot connection")
		return
	}
	s.metrics.failures.Inc()
	reason := string(step)
	if refused, ok := errors.AsType[refusedError](err); ok {
		reason = string(refused) // another fault in the configuration is another reason
	}
	s.failures.Fail(s.log, "boot conversation failed", reason, err)
}

// step is where a conversation failed.
type step string

const (
	stepHello         step = "hello"
	stepConfiguration step = "configuration"
	stepHeartbeat     step = "heartbeat"
)

// converse holds the conversation that begins with m, or could not begin, to its end; the error is never nil. Every read and write has
// a deadline, so that a silent peer cannot keep its place.
func (s *Service) converse(v visit, c net.Conn, m wire.Message, err error) (step, error) {
	if err != nil {
		return stepHello, fmt.Errorf("wait for hello: %w", err)
	}
	hello, err := s.greet(v, c, m)
	if err != nil {
		return stepHello, err
	}
	if hello.Configured {
		if err := send(c, s.answer(wire.Heartbeat{Digest: s.state.last()})); err != nil {
			return stepHello, err
		}
		s.log.Info("enclave is back; it has its configuration")
	} else if err := s.handOver(v, c); err != nil {
		return stepConfiguration, err
	}
	s.failures.Heal(s.log, "boot conversation works again")
	defer context.AfterFunc(s.draining, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })()
	heard, told := time.Now(), false
	for {
		if err := c.SetReadDeadline(heard.Add(wire.HeartbeatLost)); err != nil {
			return stepHeartbeat, err
		}
		if s.draining.Err() != nil && !told { // looked at after the deadline is set, so that nothing undoes the one that Drain sets
			told = true // at once, and not with the next heartbeat
			if err := send(c, wire.Draining{}); err != nil {
				return stepHeartbeat, err
			}
		}
		m, err := read(c)
		if errors.Is(err, os.ErrDeadlineExceeded) && time.Since(heard) < wire.HeartbeatLost {
			continue // it was Drain
		}
		if err != nil {
			return stepHeartbeat, fmt.Errorf("%w: %w", errAwaited, err)
		}
		heard = time.Now()
		beat, ok := m.(wire.Heartbeat)
		if !ok {
			return stepHeartbeat, unexpected(m, "a heartbeat")
		}
		if err := s.beat(v, beat.Digest); err != nil {
			return stepHeartbeat, err
		}
		if err := send(c, s.answer(beat)); err != nil {
			return stepHeartbeat, err
		}
	}
}

// answer is what a heartbeat or a hello gets: its echo, unless the parent is about to stop.
func (s *Service) answer(echo wire.Heartbeat) wire.Message {
	if s.draining.Err() != nil {
		return wire.Draining{}
	}
	return echo
}

// greet takes the hello. A peer that says something else is told why it is turned away.
func (s *Service) greet(v visit, c net.Conn, m wire.Message) (wire.Hello, error) {
	hello, ok := m.(wire.Hello)
	if ok && !hello.Configured {
		s.anew(v) // of whatever version it is
	}
	var err error
	switch {
	case !ok:
		err = unexpected(m, "hello")
	case hello.Version != wire.Version:
		err = versionError(hello.Version)
	default:
		return hello, nil
	}
	// The refusal is a courtesy; the peer may be gone.
	_ = send(c, wire.Refusal{Reason: err.Error()})
	return wire.Hello{}, err
}

func versionError(enclave uint16) error {
	return fmt.Errorf("the enclave speaks version %d of the boot protocol, the parent version %d: run both from one release", enclave, wire.Version)
}

func (s *Service) handOver(v visit, c net.Conn) error {
	configuration := *s.configuration.Load()
	if err := send(c, wire.Configuration{YAML: configuration}); err != nil {
		return err
	}
	m, err := receive(c, acknowledgeTimeout)
	if err != nil {
		return fmt.Errorf("wait for the acknowledgement: %w", err)
	}
	ack, ok := m.(wire.Acknowledgement)
	if !ok {
		return unexpected(m, "an acknowledgement")
	}
	s.metrics.handovers.Inc()
	s.log.Info("enclave acknowledged its configuration", digestField(ack.Digest), zap.Int("bytes", len(configuration)))
	return s.beat(v, ack.Digest)
}

// refusedError is the enclave's own reason.
type refusedError string

func (r refusedError) Error() string { return "the enclave refused: " + string(r) }

// unexpected says what came instead of want.
func unexpected(m wire.Message, want string) error {
	if refusal, ok := m.(wire.Refusal); ok {
		return refusedError(refusal.Reason)
	}
	return fmt.Errorf("the enclave sent %T, want %s", m, want)
}

func digestField(digest [wire.DigestSize]byte) zap.Field {
	return zap.String("configuration_digest", hex.EncodeToString(digest[:]))
}
