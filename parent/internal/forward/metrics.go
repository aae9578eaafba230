package forward

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/accept"
)

type (
	direction   string
	dialFailure string
	end         string
)

const (
	toTarget   direction = "to_target"
	fromTarget direction = "from_target"

	failedName        dialFailure = "name"        // the host name did not resolve
	failedTimeout     dialFailure = "timeout"     // no answer within the connect time
	failedRefused     dialFailure = "refused"     // nobody listens there
	failedUnreachable dialFailure = "unreachable" // no way to the host, or no such context identifier
	failedForbidden   dialFailure = "forbidden"   // the name leads to this host or its link
	failedOther       dialFailure = "other"

	endClosed   end = "closed" // both directions ended with EOF
	endIdle     end = "idle"
	endHalfOpen end = "half_open" // idle behind a half-close
	endCut      end = "cut"       // at the end of the drain time
	endBroken   end = "broken"
)

// Metrics are the counters that all forwarders share; the label listener is the forwarder's name.
type Metrics struct {
	accept                     *accept.Metrics
	bytes, dialFailures, ended *prometheus.CounterVec
	refused                    *prometheus.CounterVec
	dialSeconds                *prometheus.HistogramVec
}

// NewMetrics registers the counters, beside those of accept.
func NewMetrics(registry prometheus.Registerer, acceptors *accept.Metrics) *Metrics {
	auto := promauto.With(registry)
	return &Metrics{
		accept: acceptors,
		bytes: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "containment_parent_forwarded_bytes_total",
			Help: "Bytes passed on, counted when their connection has ended.",
		}, []string{"listener", "direction"}),
		refused: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "containment_parent_clients_refused_total",
			Help: "Connections of the enclave closed unforwarded: server_name = their TLS names another host than their route, not_tls = they speak something else, no_hello = they ended or stayed silent before they said any.",
		}, []string{"listener", "reason"}),
		dialSeconds: auto.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "containment_parent_dial_seconds",
			Help:    "How long it took to connect to the target, where that succeeded.",
			Buckets: []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5},
		}, []string{"listener"}),
		dialFailures: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "containment_parent_dial_failures_total",
			Help: "Connections closed because their target was not reached.",
		}, []string{"listener", "reason"}),
		ended: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "containment_parent_connections_ended_total",
			Help: "Forwarded connections that have ended: closed, idle for too long, cut at shutdown, or broken.",
		}, []string{"listener", "reason"}),
	}
}

// prepare shows a forwarder's counters at zero before anything happens.
func (m *Metrics) prepare(name string) {
	for _, d := range []direction{toTarget, fromTarget} {
		m.bytes.WithLabelValues(name, string(d))
	}
	for _, f := range []dialFailure{failedName, failedTimeout, failedRefused, failedUnreachable, failedForbidden, failedOther} {
		m.dialFailures.WithLabelValues(name, string(f))
	}
	m.dialSeconds.WithLabelValues(name)
	for _, r := range []Reason{ServerName, NotTLS, NoHello} {
		m.refused.WithLabelValues(name, string(r))
	}
	for _, e := range []end{endClosed, endIdle, endHalfOpen, endCut, endBroken} {
		m.ended.WithLabelValues(name, string(e))
	}
}

// Forget takes away what a forwarder has counted that is gone for good.
func (m *Metrics) Forget(name string) {
	m.accept.Forget(name)
	of := prometheus.Labels{"listener": name}
	for _, v := range []*prometheus.CounterVec{m.bytes, m.dialFailures, m.ended, m.refused} {
		v.DeletePartialMatch(of)
	}
	m.dialSeconds.DeletePartialMatch(of)
}
