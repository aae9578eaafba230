package api

import (
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// What is inside at once beside requests that sign. The answer to a GET may be large (a list of 100,000 keys has 10 MB) and is
// in memory until it is written, so that its place is held for as long, and that no connection may have many. Each probe, and the
// scrape, has places of its own: no load makes a process look dead. So has attestation, without which nobody connects.
const (
	maxLists              = 32
	maxListsPerConnection = 4
	maxProbes             = 16
	maxAttestations       = 64 // each waits for its turn at the security module; the answer has about 5 KiB
)

// attestationPath is where an enclave tells who it is.
const attestationPath = "/.well-known/attestation"

// DefaultRequests is a good number of requests to have inside: each costs about 40 KiB while it waits.
const DefaultRequests = 8192

// Limits bound what all listeners of a process take in together. Nobody waits for a place: who finds none is answered 503 at
// once. They are safe for concurrent use.
type Limits struct {
	requests, lists, operators, keys, attestation, healthcheck, readyz, metrics places

	memory places // bytes of bodies above freeBody

	shed        *prometheus.CounterVec
	waiting     prometheus.Counter // of shed, as is the next
	greedy      prometheus.Counter
	connections connectionMetrics
	most        func() int  // connections of one listener
	draining    func() bool // says whether clients are to leave

	who     atomic.Pointer[identification] // nil has all callers be nobody
	atoning atomic.Int64
}

// NewLimits makes the limits, and registers containment_http_… with r. requests is how many requests other than GET may be
// inside at once: from the end of their bodies until their answers begin.
func NewLimits(requests int, r prometheus.Registerer) (*Limits, error) {
	l := &Limits{
		connections: newConnectionMetrics(), most: mostConnections, draining: func() bool { return false },
		shed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "containment_http_requests_shed_total",
			Help: "Requests answered 503 because a bound on what comes in was reached, by the bound.",
		}, []string{"bound"}),
	}
	l.requests.init(requests, l.shed, "requests")
	l.lists.init(maxLists, l.shed, "lists")
	l.operators.init(maxOperators, l.shed, "operators")
	l.keys.init(maxKeyRequests, l.shed, "chamber_keys")
	l.attestation.init(maxAttestations, l.shed, "attestation")
	l.healthcheck.init(maxProbes, l.shed, "healthcheck")
	l.readyz.init(maxProbes, l.shed, "readyz")
	l.metrics.init(maxProbes, l.shed, "metrics")
	l.waiting = l.shed.WithLabelValues("waiting")
	l.greedy = l.shed.WithLabelValues("lists_per_connection")
	l.memory.init(maxMemory, l.shed, "body_memory")

	inside := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "containment_http_requests_inside",
		Help: "Requests other than GET that have come whole and whose answers have not begun.",
	}, func() float64 { return float64(l.requests.taken.Load()) })
	limit := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "containment_http_requests_limit",
		Help: "The most of containment_http_requests_inside.",
	}, func() float64 { return float64(l.requests.most.Load()) })
	for _, c := range append(l.connections.all(), l.shed, inside, limit) {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of the listeners: %w", err)
		}
	}
	return l, nil
}

// SetRequests changes how many requests other than GET may be inside at once. Those that are inside stay.
func (l *Limits) SetRequests(n int) { l.requests.most.Store(int64(n)) }

// LeaveWhile has each answer say that it is the last of its connection, for as long as draining is true. It is called before any server runs.
func (l *Limits) LeaveWhile(draining func() bool) { l.draining = draining }

// places are taken or refused.
type places struct {
	most, taken atomic.Int64
	shed        prometheus.Counter
}

func (p *places) init(most int, shed *prometheus.CounterVec, bound string) {
	p.most.Store(int64(most))
	p.shed = shed.WithLabelValues(bound)
}

// take takes n places, or counts a refusal.
func (p *places) take(n int64) bool {
	if p.taken.Add(n) <= p.most.Load() {
		return true
	}
	p.taken.Add(-n)
	p.shed.Inc()
	return false
}

func (p *places) leave(n int64) { p.taken.Add(-n) }

// of is where a request takes its place; nil is /upcheck, which is answered whatever happens.
func (l *Limits) of(r *http.Request) *places {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return &l.requests
	}
	switch r.URL.Path {
	case "/upcheck":
		return nil
	case attestationPath:
		return &l.attestation
	case "/healthcheck":
		return &l.healthcheck
	case "/readyz":
		return &l.readyz
	case "/metrics":
		return &l.metrics
	}
	return &l.lists
}

// bound calls h within the limits. A request takes its place when its body is here and leaves it when its answer begins, so that one
// who sends or reads slowly holds nothing that others need.
func (l *Limits) bound(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := connection(r.Context())
		fits := c.enter()
		defer c.leave()
		switch p := l.of(r); {
		case p == nil:
			h.ServeHTTP(w, r)
		case !fits:
			l.waiting.Inc()
			shed(w)
		case fromOperator(r):
			l.serveOperator(w, r, h, c)
		default:
			l.serve(w, r, h, p, c)
		}
		if r.ProtoMajor == 2 { // or net/http would write a small answer when the request is counted no longer
			_ = http.NewResponseController(w).Flush()
		}
	})
}

func (l *Limits) serve(w http.ResponseWriter, r *http.Request, h http.Handler, p *places, c *conn) {
	if b := l.receive(w, r); b != nil {
		r.Body = b
		defer b.release()
	}
	if p == &l.lists {
		if !c.takeList() {
			l.greedy.Inc()
			shed(w)
			return
		}
		defer c.leaveList()
	}
	if !p.take(1) {
		shed(w)
		return
	}
	c.begin()
	a := &answer{ResponseWriter: w, conn: c, places: p}
	defer a.begin() // of one without a body
	if p == &l.lists {
		a.places = nil
		defer p.leave(1)
	}
	h.ServeHTTP(a, r)
}

func shed(w http.ResponseWriter) {
	WriteProblem(w, problem.New(problem.Overloaded, "too many requests at once"))
}
