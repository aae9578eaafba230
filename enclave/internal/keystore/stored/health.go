package stored

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
)

// health says how the table was read last.
type health struct {
	err       error // of the last time, nil if it went well
	since     time.Time
	told      time.Time // when err was logged
	refreshed time.Time // when the table was last read well
}

// Status is what an operator may know.
type Status struct {
	Open     bool // between Load and Drop
	Loaded   bool // all keys were loaded since
	Keys     int  // that can sign
	Unusable int  // items that are damaged, foreign, of a newer release, or went back
	// Refreshed is how long ago the table was last read well; -1 if it was not since the source was opened.
	Refreshed time.Duration
	// Err is why the table could not be read the last time, and Since how long ago that began.
	Err   error
	Since time.Duration
}

// Status tells what is known now. It asks nobody.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{
		Open: s.open, Loaded: s.loaded, Keys: s.o.Keystore.Count(keystore.Stored), Unusable: len(s.book.failed),
		Refreshed: -1, Err: s.health.err,
	}
	if !s.health.refreshed.IsZero() {
		st.Refreshed = time.Since(s.health.refreshed)
	}
	if st.Err != nil {
		st.Since = time.Since(s.health.since)
	}
	return st
}

// Check returns nil if the keys are those of the table as it was read last, or if the chamber is sealed, and else why not. Keys that were
// loaded before can sign nevertheless.
func (s *Source) Check(context.Context) error {
	switch st := s.Status(); {
	case st.Err != nil:
		return fmt.Errorf("stored keys are not current, for %s: %w", st.Since.Round(time.Second), st.Err)
	case st.Open && !st.Loaded:
		return fmt.Errorf("stored keys are being loaded")
	}
	return nil
}

// toldAgain is how long an error that lasts is not logged again.
const toldAgain = time.Minute

// report notes how the table was read, and logs what is new.
func (s *Source) report(err error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.health
	if err == nil {
		if h.err != nil {
			s.o.Log.Info("stored keys are current again", zap.Duration("after", now.Sub(h.since)))
		}
		*h = health{refreshed: now}
		return
	}
	s.metrics.failures.Inc()
	if h.err == nil {
		h.since = now
	}
	if h.err == nil || now.Sub(h.told) >= toldAgain {
		s.o.Log.Error("stored keys are not current: those that are loaded stay", zap.Int("keys", s.o.Keystore.Count(keystore.Stored)),
			zap.Duration("since", now.Sub(h.since)), zap.Error(err))
		h.told = now
	}
	h.err = err
}

type metrics struct{ failures prometheus.Counter }

func newMetrics(r prometheus.Registerer, status func() Status) (*metrics, error) {
	m := &metrics{prometheus.NewCounter(prometheus.CounterOpts{
		Name: "containment_stored_keys_refresh_failures_total",
		Help: "Times that the table of stored keys could not be read, or its keys not be opened because the chamber was sealed.",
	})}
	for _, c := range []prometheus.Collector{
		m.failures,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "containment_stored_keys_unusable",
			Help: "Stored keys that are damaged, foreign, of a newer release, or older than this process has seen; the log names them.",
		}, func() float64 { return float64(status().Unusable) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "containment_stored_keys_refresh_age_seconds",
			Help: "Time since the table of stored keys was last read well; 0 before the first time, and while the chamber is sealed.",
		}, func() float64 { return max(status().Refreshed, 0).Seconds() }),
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of stored keys: %w", err)
		}
	}
	return m, nil
}
