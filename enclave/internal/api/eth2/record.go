package eth2

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// metrics count signing requests. Label values come from closed types, never from a caller.
type metrics struct {
	requests   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	rejections prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "containment_signing_requests_total",
			Help: "Signing requests by HTTP status code and type; UNKNOWN is a type that could not be read.",
		}, []string{"status", "operation"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "containment_signing_duration_seconds",
			Help:    "Time from a signing request's headers to its answer, by type.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 12, 30},
		}, []string{"operation"}),
		rejections: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "containment_slashing_rejections_total",
			Help: "Requests that slashing protection refused.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.rejections} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register signing metrics: %w", err)
		}
	}
	return m, nil
}

// record writes the request's one log line and counts it.
func (a *API) record(e *event) {
	took := time.Since(e.began)
	status, level := http.StatusOK, zapcore.InfoLevel
	fields := []zap.Field{
		zap.String("route", signRoute),
		zap.Stringer("kind", e.kind),
		zap.String("key", e.key.Short()),
		zap.Duration("duration", took),
	}
	if e.err != nil {
		kind := problem.Of(e.err).Kind
		status, level = kind.Status(), levelOf(kind)
		fields = append(fields, zap.Stringer("problem", kind), zap.Error(e.err))
		if kind == problem.Slashable {
			a.metrics.rejections.Inc()
		}
	}
	a.deps.Log.Log(level, "signing request", append(fields, zap.Int("status", status))...)
	a.metrics.requests.WithLabelValues(strconv.Itoa(status), e.kind.String()).Inc()
	a.metrics.duration.WithLabelValues(e.kind.String()).Observe(took.Seconds())
}

// levelOf tells callers' mistakes, which they are told of, from what an operator should look at.
func levelOf(k problem.Kind) zapcore.Level {
	switch k {
	case problem.Internal:
		return zapcore.ErrorLevel
	case problem.Slashable, problem.Sealed, problem.Overloaded, problem.StoreUnavailable:
		return zapcore.WarnLevel
	case problem.Malformed, problem.Unauthenticated, problem.Forbidden, problem.UnknownKey:
		return zapcore.InfoLevel
	}
	return zapcore.ErrorLevel
}
