package eth2

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// metrics count signing requests. Label values come from closed types, never from a caller.
type metrics struct {
	requests   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	rejections prometheus.Counter
	canaries   prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "containment_signing_requests_total",
			Help: "Signing requests by HTTP status code and type; UNKNOWN is a type that could not be read. Each key of a batch counts as one.",
		}, []string{"status", "operation"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "containment_signing_duration_seconds",
			Help:    "Time from a signing request's headers to its answer, by type; a batch counts once.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 12, 30},
		}, []string{"operation"}),
		rejections: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "containment_slashing_rejections_total",
			Help: "Requests that slashing protection refused.",
		}),
		canaries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "containment_canary_signing_total",
			Help: "Requests for a canary key (signing.canary_keys, or canary: true in its file), which nobody should ever ask for, whatever the answer.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.rejections, m.canaries} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register signing metrics: %w", err)
		}
	}
	return m, nil
}

// record writes the request's one log line and counts it.
func (a *API) record(e *event) {
	took := time.Since(e.began)
	status, level := a.count(e.by, e.key, e.kind, e.err)
	fields := []zap.Field{
		zap.String("route", signRoute),
		zap.Stringer("kind", e.kind),
		zap.String("key", e.key.Short()),
		zap.String("caller", e.by.String()),
		zap.Duration("duration", took),
		zap.Int("status", status),
	}
	if e.err != nil {
		fields = append(fields, zap.Stringer("problem", problem.Of(e.err).Kind), zap.Error(e.err))
	}
	a.deps.Log.Log(level, "signing request", fields...)
	a.metrics.duration.WithLabelValues(e.kind.String()).Observe(took.Seconds())
}

// batchEvent is what the log and the metrics learn of a batch.
type batchEvent struct {
	began   time.Time
	by      auth.Caller
	kind    eth2.Kind
	keys    []bls.PublicKey
	results []result // one for each key, unless there is an error
	err     error
}

// maxRefusals is the most lines that one batch writes of keys that got no signature: a validator client that runs twice is
// refused thousands at once. The caller is told of each, and each is counted.
const maxRefusals = 16

// recordBatch writes one log line for the batch, and one more for each of the first keys that got no signature.
func (a *API) recordBatch(e *batchEvent) {
	took := time.Since(e.began)
	signed, refused := 0, 0
	for i, key := range e.keys {
		if e.err != nil {
			a.count(e.by, key, e.kind, e.err)
			continue
		}
		err := e.results[i].err
		status, level := a.count(e.by, key, e.kind, err)
		if err == nil {
			signed++
			continue
		}
		if refused++; refused <= maxRefusals {
			a.deps.Log.Log(level, "key of a batch refused", zap.Stringer("kind", e.kind), zap.String("key", key.Short()),
				zap.Int("status", status), zap.Stringer("problem", problem.Of(err).Kind), zap.Error(err))
		}
	}
	fields := []zap.Field{
		zap.String("route", batchRoute), zap.Stringer("kind", e.kind), zap.String("caller", e.by.String()), zap.Duration("duration", took),
		zap.Int("keys", len(e.keys)), zap.Int("signed", signed), zap.Int("refused", refused),
	}
	status, level := http.StatusOK, zapcore.InfoLevel
	if e.err != nil {
		kind := problem.Of(e.err).Kind
		status, level = kind.Status(), levelOf(kind)
		fields = append(fields, zap.Stringer("problem", kind), zap.Error(e.err))
		if len(e.keys) == 0 { // it could not be read, and counts as one request
			a.count(e.by, bls.PublicKey{}, e.kind, e.err)
		}
	}
	a.deps.Log.Log(level, "batch signing request", append(fields, zap.Int("status", status))...)
	a.metrics.duration.WithLabelValues(e.kind.String()).Observe(took.Seconds())
}

// count counts the outcome of one key, and returns its status code and how loudly to log it.
func (a *API) count(by auth.Caller, key bls.PublicKey, kind eth2.Kind, err error) (status int, level zapcore.Level) {
	status, level = http.StatusOK, zapcore.InfoLevel
	if err != nil {
		why := problem.Of(err).Kind
		status, level = why.Status(), levelOf(why)
		if why == problem.Slashable {
			a.metrics.rejections.Inc()
		}
	}
	a.metrics.requests.WithLabelValues(strconv.Itoa(status), kind.String()).Inc()
	if a.canaries[key] || a.deps.Canary != nil && a.deps.Canary(key) {
		a.metrics.canaries.Inc()
		a.deps.Log.Error("a canary key was asked for", zap.Stringer("kind", kind), zap.Stringer("key", key), zap.Int("status", status),
			zap.String("audit", "canary"), zap.String("caller", by.String()))
	}
	return status, level
}

// levelOf tells callers' mistakes, which they are told of, from what an operator should look at.
func levelOf(k problem.Kind) zapcore.Level {
	switch k {
	case problem.Internal:
		return zapcore.ErrorLevel
	case problem.Slashable, problem.Sealed, problem.Overloaded, problem.StoreUnavailable:
		return zapcore.WarnLevel
	case problem.Malformed, problem.TooLarge, problem.Unauthenticated, problem.Forbidden, problem.UnknownKey, problem.NotFound:
		return zapcore.InfoLevel
	}
	return zapcore.ErrorLevel
}
