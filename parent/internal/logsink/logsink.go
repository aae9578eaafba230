// Package logsink passes the enclave's log lines on to one stream.
package logsink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/lines"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/logging"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

const (
	// maxStreams is how many log streams live at a time; each takes a buffer of 64 KiB. The enclave keeps one, and
	// opens the next when it takes the last for dead.
	maxStreams = 16
	// quiet is how long a stream may say nothing during shutdown before it is ended: the enclave's last lines come
	// within a second of each other, and an enclave that lives on never closes its stream.
	quiet = 2 * time.Second
)

// Config says where lines come from and how many are let through.
type Config struct {
	Network vsock.Network
	Port    uint32 // [wire.PortLogs]
	CID     uint32 // the enclave's; no other peer is admitted
	// MaxLinesPerSecond bounds what an enclave gone wild can write to the host's disk, over all streams. What is
	// dropped is counted, and told in the stream once a second. 0: no limit.
	MaxLinesPerSecond int
}

// Sink receives log streams. It passes on every line that is a JSON object, and only those: a line that is not, or of which
// a part is missing, is told in a line of the parent's own that carries the text.
type Sink struct {
	*accept.Acceptor
	limit   int64
	out     *lines.Writer
	log     *zap.Logger // writes to out too
	metrics *metrics

	taken   atomic.Int64 // lines of this second
	dropped atomic.Int64 // lines that were too many, not yet told
}

type metrics struct{ lines, odd, dropped prometheus.Counter }

// New prepares the sink. The logger must write to out, so that both kinds of lines go through one lock.
func New(cfg Config, out *lines.Writer, log *zap.Logger, acceptors *accept.Metrics, registry prometheus.Registerer) *Sink {
	auto := promauto.With(registry)
	counter := func(name, help string) prometheus.Counter {
		return auto.NewCounter(prometheus.CounterOpts{Name: "containment_parent_log_sink_" + name + "_total", Help: help})
	}
	return &Sink{
		Acceptor: accept.New(accept.Config{
			Name:           "logs",
			Listen:         func() (net.Listener, error) { return listen(cfg) },
			Check:          func(c net.Conn) error { return vsock.CheckPeer(c, cfg.CID) },
			MaxConnections: maxStreams,
		}, log, acceptors),
		limit: int64(cfg.MaxLinesPerSecond),
		out:   out,
		log:   log,
		metrics: &metrics{
			lines:   counter("lines", "Lines of the enclave that were passed on."),
			odd:     counter("odd_lines", "Lines of the enclave that were no JSON object, too long or cut short; each is told in a line of the parent's."),
			dropped: counter("lines_dropped", "Lines of the enclave above parent.log_sink.max_lines_per_second."),
		},
	}
}

// listen opens the sink's port. Whoever holds it is another parent: nothing else listens on it.
func listen(cfg Config) (net.Listener, error) {
	l, err := cfg.Network.Listen(cfg.Port)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another parent runs on this node (port %d): %w", cfg.Port, err)
	}
	return l, err
}

// Run receives until ctx ends and then until the streams have gone quiet.
func (s *Sink) Run(ctx, cut context.Context) error {
	ended := make(chan struct{})
	var meter sync.WaitGroup
	meter.Go(func() { s.meter(ended) })
	err := s.Acceptor.Run(ctx, cut, func(cut context.Context, c net.Conn) { s.receive(ctx, cut, c) })
	close(ended)
	meter.Wait()
	return err
}

// meter starts a new second for the limit, and tells what the last one dropped.
func (s *Sink) meter(ended <-chan struct{}) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	defer s.tellDropped()
	for {
		select {
		case <-second.C:
			s.taken.Store(0)
			s.tellDropped()
		case <-ended:
			return
		}
	}
}

func (s *Sink) tellDropped() {
	if n := s.dropped.Swap(0); n > 0 {
		s.log.Warn("log lines of the enclave dropped", logging.LogLinesDropped.Field(), zap.Int64("dropped", n), zap.Int64("max_lines_per_second", s.limit))
	}
}

// receive owns c. It has no idle limit: an enclave with nothing to say is well.
func (s *Sink) receive(stop, cut context.Context, c net.Conn) {
	defer func() { _ = c.Close() }()
	unhook := context.AfterFunc(cut, func() { _ = c.Close() })
	defer unhook()
	hurry := context.AfterFunc(stop, func() { _ = c.SetReadDeadline(time.Now().Add(quiet)) })
	defer hurry()

	reader := wire.NewLogReader(c)
	for {
		line, missing, err := reader.Next()
		if err != nil && !errors.Is(err, wire.ErrLineTruncated) {
			if !errors.Is(err, io.EOF) && stop.Err() == nil {
				s.log.Warn("log stream broke", zap.Error(err))
			}
			return
		}
		s.pass(line, missing, err)
		if err != nil {
			return
		}
		if stop.Err() != nil {
			_ = c.SetReadDeadline(time.Now().Add(quiet))
		}
	}
}

// pass writes one line, or tells what became of it. A truncated line has the reason in err.
func (s *Sink) pass(line []byte, missing int, err error) {
	if s.limit > 0 && s.taken.Add(1) > s.limit {
		s.dropped.Add(1)
		s.metrics.dropped.Inc()
		return
	}
	printable := lines.AppendPrintable(make([]byte, 0, len(line)), line)
	whole := err == nil && missing == 0
	if whole && isObject(printable) {
		if _, err := s.out.Write(printable); err == nil { // what the output does not take, it counts
			s.metrics.lines.Inc()
		}
		return
	}
	s.metrics.odd.Inc()
	message := "log line of the enclave is not a JSON object"
	switch {
	case err != nil:
		message = "log line of the enclave ended early"
	case missing > 0:
		message = "log line of the enclave is too long"
	}
	s.log.Warn(message, zap.Int("kept_bytes", len(line)), zap.Int("missing_bytes", missing), zap.Error(err), zap.ByteString("text", printable))
}

func isObject(line []byte) bool {
	return len(line) > 0 && line[0] == '{' && json.Valid(line)
}
