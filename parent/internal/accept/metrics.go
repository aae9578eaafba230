package accept

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// refusal is why a connection was closed right after it had been accepted.
type refusal string

const (
	refusedFull   refusal = "full"
	refusedPeer   refusal = "peer"
	refusedSource refusal = "source"
)

// Metrics are the counters that all acceptors share; the label listener is the acceptor's name.
type Metrics struct {
	accepted, refused, acceptErrors *prometheus.CounterVec
	active                          *prometheus.GaugeVec
}

// NewMetrics registers the counters.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	auto := promauto.With(registry)
	return &Metrics{
		accepted: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "containment_parent_connections_accepted_total",
			Help: "Connections taken in.",
		}, []string{"listener"}),
		refused: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "containment_parent_connections_refused_total",
			Help: "Connections closed at once: full = the listener's limit is reached, source = that of one client's address, peer = not from the enclave.",
		}, []string{"listener", "reason"}),
		acceptErrors: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "containment_parent_accept_errors_total",
			Help: "Failures to accept, as for want of file descriptors; each is waited out.",
		}, []string{"listener"}),
		active: auto.NewGaugeVec(prometheus.GaugeOpts{
			Name: "containment_parent_connections_active",
			Help: "Connections that live now.",
		}, []string{"listener"}),
	}
}

// prepare shows an acceptor's counters at zero before anything happens.
func (m *Metrics) prepare(name string) {
	m.accepted.WithLabelValues(name)
	m.acceptErrors.WithLabelValues(name)
	m.active.WithLabelValues(name)
	m.refused.WithLabelValues(name, string(refusedFull))
	m.refused.WithLabelValues(name, string(refusedPeer))
	m.refused.WithLabelValues(name, string(refusedSource))
}

// Forget takes away what an acceptor has counted that is gone for good.
func (m *Metrics) Forget(name string) {
	of := prometheus.Labels{"listener": name}
	for _, v := range []*prometheus.CounterVec{m.accepted, m.refused, m.acceptErrors} {
		v.DeletePartialMatch(of)
	}
	m.active.DeletePartialMatch(of)
}
