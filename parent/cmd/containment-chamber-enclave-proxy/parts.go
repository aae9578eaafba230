package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/forward"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/lines"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/logging"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/resolve"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/supervisor"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/systemd"
)

// part is one listener with what stands behind it.
type part interface {
	Name() string
	// Bind opens the listener; Release closes it if Run was never called.
	Bind() error
	Release()
	// Run is a [supervisor.Task]'s.
	Run(ctx, cut context.Context) error
}

// base is what every part is made with.
type base struct {
	queue    *lines.Queue  // before standard output
	out      *lines.Writer // the process's one output for log lines, writes to queue
	log      *zap.Logger   // writes to out
	registry *prometheus.Registry
	accept   *accept.Metrics
	forward  *forward.Metrics
	egress   egress.Metrics
}

func newBase(stdout io.Writer, level string) (*base, error) {
	queue := lines.NewQueue(stdout)
	out := lines.New(queue)
	log, err := logging.New(out, level)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	lost := prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "containment_parent_log_lines_lost_total",
		Help: "Lines, of the enclave or the parent's own, that standard output did not take.",
	}, func() float64 { return float64(queue.Lost()) })
	for _, c := range []prometheus.Collector{lost, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	acceptors := accept.NewMetrics(registry)
	forwarders := forward.NewMetrics(registry, acceptors)
	return &base{
		queue: queue, out: out, log: log, registry: registry, accept: acceptors, forward: forwarders,
		egress: egress.Metrics{Forward: forwarders, Names: resolve.NewMetrics(registry)},
	}, nil
}

// flushLimit is how long the last lines may take to leave.
const flushLimit = time.Second

// speaking carries log lines to standard output while f runs, and flushes them. Output that blocks cannot be interrupted: the
// goroutine that waits for it is then left behind, because the process is about to end.
func (b *base) speaking(f func() error) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.queue.Run(func(lost uint64) {
			b.log.Warn("log lines were lost: standard output did not take them", logging.LogLinesLost.Field(), zap.Uint64("lost", lost))
		})
	}()
	err := f()
	b.queue.Close()
	select {
	case <-ended:
	case <-time.After(flushLimit):
	}
	return err
}

// outliveOutput keeps the process when the reader of its output has died, as an enclave goes on signing then. What could not be
// written is counted.
func outliveOutput() { signal.Ignore(syscall.SIGPIPE) }

// house is parts under one supervisor.
type house struct {
	*supervisor.Supervisor
	parts []part // the last stage first
	pulse *pulse
	log   *zap.Logger
}

// newHouse prepares an empty house.
func newHouse(b *base, drain time.Duration) *house {
	s := supervisor.New(b.log.Named("supervisor"), b.registry, drain)
	return &house{
		Supervisor: s,
		pulse:      &pulse{log: b.log.Named("pulse"), manager: systemd.Find(os.Getenv, os.Getpid()), healthy: s.Healthy},
		log:        b.log,
	}
}

// add adds a stage; stages end in the order in which they were added.
func (h *house) add(stage ...part) {
	tasks := make([]supervisor.Task, len(stage))
	for i, p := range stage {
		tasks[i] = supervisor.Task{Name: p.Name(), Run: p.Run}
	}
	h.parts = slices.Concat(stage, h.parts)
	h.Add(tasks...)
}

// Run opens every listener before anything runs, so that an address in use leaves nothing half-started. The last stage comes first: the
// log sink's port is the one by which two parents on one host find each other.
func (h *house) Run(ctx context.Context) error {
	for i, p := range h.parts {
		if err := p.Bind(); err != nil {
			for _, bound := range h.parts[:i] {
				bound.Release()
			}
			return err
		}
	}
	h.log.Info("started: every listener is open", logging.Started.Field())
	h.pulse.tell(systemd.Ready)
	ended := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() { h.pulse.run(ctx, ended) })
	err := h.Supervisor.Run(ctx)
	close(ended)
	beating.Wait()
	return err
}
