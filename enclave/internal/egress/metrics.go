package egress

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type outcome string

const (
	connected outcome = "connected"
	failed    outcome = "failed"
	full      outcome = "full" // not tried: the route has all the connections it may have
)

// counts are labelled with names from the route table, never with a host that somebody asked for.
type counts struct {
	dials   *prometheus.CounterVec // by route and outcome
	refused prometheus.Counter
}

// newCounts makes every route's counters at once, so that an alert sees the first failure.
func newCounts(r prometheus.Registerer, routes ...string) (counts, error) {
	c := counts{
		dials: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "containment_egress_dials_total",
			Help: "Outbound connections tried, by route and outcome.",
		}, []string{"route", "outcome"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "containment_egress_refused_total",
			Help: "Outbound connections refused because no route leads there.",
		}),
	}
	for _, route := range routes {
		for _, o := range []outcome{connected, failed, full} {
			c.dials.WithLabelValues(route, string(o))
		}
	}
	for _, collector := range []prometheus.Collector{c.dials, c.refused} {
		if err := r.Register(collector); err != nil {
			return counts{}, fmt.Errorf("register egress metrics: %w", err)
		}
	}
	return c, nil
}

func (c counts) dialed(route string, err error) {
	o := connected
	if err != nil {
		o = failed
	}
	c.dials.WithLabelValues(route, string(o)).Inc()
}
