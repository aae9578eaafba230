package certs

import (
	"fmt"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type tlsMetrics struct {
	rotations prometheus.Counter
	failures  prometheus.Counter
}

// newTLSMetrics registers what both kinds of certificate have. A zero notAfter is shown as 0.
func newTLSMetrics(r prometheus.Registerer, notAfter func() time.Time) (*tlsMetrics, error) {
	m := &tlsMetrics{
		rotations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "containment_tls_rotations_total",
			Help: "Certificates that replaced another one while the process ran.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "containment_tls_rotation_failures_total",
			Help: "Attempts to get a certificate that failed.",
		}),
	}
	expiry := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "containment_tls_certificate_expiry_timestamp_seconds",
		Help: "Unix time at which the certificate in service ends; 0 without one.",
	}, func() float64 { return unix(notAfter()) })
	if err := register(r, m.rotations, m.failures, expiry); err != nil {
		return nil, err
	}
	return m, nil
}

func register(r prometheus.Registerer, all ...prometheus.Collector) error {
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register certificate metrics: %w", err)
		}
	}
	return nil
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}

// gauges are about the evidence in the certificate in service, in the enclave's own time.
func (t *Attested) gauges() []prometheus.Collector {
	of := func(name, help string, none float64, value func(*issued) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			if c := t.current.Load(); c != nil {
				return value(c)
			}
			return none
		})
	}
	return []prometheus.Collector{
		of("containment_attestation_age_seconds", "Age of the attestation document in service; infinite without one.", math.Inf(1),
			func(c *issued) float64 { return t.opts.Now().Sub(c.evidence.Document.Timestamp).Seconds() }),
		of("containment_attestation_expiry_timestamp_seconds", "Unix time at which that document proves nothing any more; 0 without one.", 0,
			func(c *issued) float64 { return unix(c.evidence.Document.NotAfter) }),
		of("containment_attestation_clock_offset_seconds", "Local clock minus the NSM's when that document was made.", 0,
			func(c *issued) float64 { return c.evidence.Offset.Seconds() }),
	}
}
