package resolve

import (
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics are what is told of all names; the label listener is the name of the listener that a name is for.
type Metrics struct {
	lookups *prometheus.CounterVec
	fresh   *prometheus.GaugeVec
}

// NewMetrics registers them.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	auto := promauto.With(registry)
	return &Metrics{
		lookups: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "containment_parent_name_lookups_total",
			Help: "Lookups of the route's host name by result: ok or failed.",
		}, []string{"listener", "result"}),
		fresh: auto.NewGaugeVec(prometheus.GaugeOpts{
			Name: "containment_parent_name_resolved_timestamp_seconds",
			Help: "When the route's host name was last resolved, Unix time; 0 if never. While it fails the last addresses are kept.",
		}, []string{"listener"}),
	}
}

// Record is where one name's lookups are counted.
type Record struct {
	ok, failed prometheus.Counter
	fresh      prometheus.Gauge
}

// For is the record of one listener, at zero.
func (m *Metrics) For(listener string) Record {
	m.fresh.WithLabelValues(listener)
	return Record{
		ok:     m.lookups.WithLabelValues(listener, "ok"),
		failed: m.lookups.WithLabelValues(listener, "failed"),
		fresh:  m.fresh.WithLabelValues(listener),
	}
}

// Forget takes away what was told of a listener that is gone for good.
func (m *Metrics) Forget(listener string) {
	m.lookups.DeletePartialMatch(prometheus.Labels{"listener": listener})
	m.fresh.DeleteLabelValues(listener)
}

func (r Record) lookedUp(err error) {
	if err != nil {
		r.failed.Inc()
		return
	}
	r.ok.Inc()
	r.fresh.SetToCurrentTime()
}

// reason is an error of a lookup without what differs each time.
func reason(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case dns.IsNotFound:
			return "not found"
		case dns.IsTimeout:
			return "timeout"
		}
	}
	return "failed"
}
