package signing

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// register adds the gauges of the slots and the histograms of the guard's writes.
func (s *Signer) register(r prometheus.Registerer) error {
	available := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "containment_signing_semaphore_available",
		Help: "Signing slots that are free.",
	}, func() float64 { return float64(cap(s.slots) - len(s.slots)) })
	limit := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "containment_signing_concurrency_limit",
		Help: "Signing slots in all.",
	}, func() float64 { return float64(cap(s.slots)) })
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "containment_slashing_write_duration_seconds",
		Help:    "Time of one write to the slashing protection store, by result: written, failed (nothing was recorded), unknown, or contradicted (it has lost votes).",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"result"})
	votes := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "containment_slashing_write_votes",
		Help:    "Votes that shared one write to the slashing protection store.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 13),
	})
	for _, c := range []prometheus.Collector{available, limit, duration, votes} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register signing metrics: %w", err)
		}
	}
	for _, result := range []string{"written", "failed", "unknown", "contradicted"} {
		duration.WithLabelValues(result) // so that the first one is seen as an increase
	}
	s.guard.OnWrite(func(n int, took time.Duration, err error) {
		duration.WithLabelValues(resultOf(err)).Observe(took.Seconds())
		votes.Observe(float64(n))
	})
	return nil
}

// resultOf is the label of a write.
func resultOf(err error) string {
	switch {
	case err == nil:
		return "written"
	case errors.Is(err, slashing.ErrUnavailable):
		return "failed"
	case errors.Is(err, slashing.ErrContradicted):
		return "contradicted"
	}
	return "unknown"
}
