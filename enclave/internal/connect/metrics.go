package connect

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests         *prometheus.CounterVec
	seconds          prometheus.Histogram
	up, evidenceEnds prometheus.Gauge
	verified         prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "containment_connect_requests_total",
			Help: "Requests taken to the signer, the proxy's own included, by result: answered, refused, unreachable, late, canceled.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "containment_connect_answer_seconds",
			Help:    "Time until the signer's answer to a request began, connecting included.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30},
		}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "containment_connect_signer_up",
			Help: "1 if the latest request to the signer was answered, 0 if it is refused or cannot be reached.",
		}),
		evidenceEnds: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "containment_connect_evidence_not_after_seconds",
			Help: "When the evidence of the latest verified connection ends, in seconds since 1970.",
		}),
		verified: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "containment_connect_connections_verified_total",
			Help: "Connections on which the signer proved itself.",
		}),
	}
	for _, label := range results() {
		m.requests.WithLabelValues(string(label))
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.up, m.evidenceEnds, m.verified} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of the connection to the signer: %w", err)
		}
	}
	return m, nil
}
