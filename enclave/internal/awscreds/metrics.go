package awscreds

import (
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"
)

type result string

const (
	renewed     result = "renewed"
	failed      result = "failed"
	anotherRole result = "another_role"
)

type metrics struct {
	refreshes *prometheus.CounterVec // by result
	expiry    prometheus.Gauge
}

// newMetrics makes every counter at once, so that an alert sees the first failure.
func newMetrics(r prometheus.Registerer) (metrics, error) {
	m := metrics{
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "containment_aws_credentials_refreshes_total",
			Help: "Attempts to get new AWS credentials, by result: renewed, failed, or another_role than tee.role_arn.",
		}, []string{"result"}),
		expiry: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "containment_aws_credentials_expiry_timestamp_seconds",
			Help: "Unix time at which the AWS credentials in use end; 0 if there are none, or they do not say.",
		}),
	}
	for _, result := range []result{renewed, failed, anotherRole} {
		m.refreshes.WithLabelValues(string(result))
	}
	return m, errors.Join(r.Register(m.refreshes), r.Register(m.expiry))
}

func (m metrics) refreshed(c aws.Credentials, err error) {
	switch {
	case errors.Is(err, ErrAnotherRole):
		m.refreshes.WithLabelValues(string(anotherRole)).Inc()
	case err != nil:
		m.refreshes.WithLabelValues(string(failed)).Inc()
	default:
		m.refreshes.WithLabelValues(string(renewed)).Inc()
		m.expiry.Set(0)
		if c.CanExpire {
			m.expiry.Set(float64(c.Expires.Unix()))
		}
	}
}
