package telemetry

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func TestTimings(t *testing.T) {
	r := prometheus.NewRegistry()
	work := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "work_seconds", Buckets: []float64{1, 2, 4}}, []string{"kind"})
	bytes := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "body_bytes", Buckets: []float64{1}})
	idle := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "idle_seconds", Buckets: []float64{1}})
	r.MustRegister(work, bytes, idle)
	for range 90 {
		work.WithLabelValues("a").Observe(0.5)
	}
	for range 10 {
		work.WithLabelValues("a").Observe(3)
	}
	work.WithLabelValues("b").Observe(5)
	bytes.Observe(1)

	got, err := Timings(r)
	if err != nil {
		t.Fatal(err)
	}
	want := []Timing{
		{Metric: "work_seconds", Labels: map[string]string{"kind": "a"}, Count: 100, Mean: 0.75, P50: 50.0 / 90, P95: 3, P99: 3.8},
		{Metric: "work_seconds", Labels: map[string]string{"kind": "b"}, Count: 1, Mean: 5, P50: 4, P95: 4, P99: 4, Above: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestTimingsOfABrokenCollector: what the others have is there with the error.
func TestTimingsOfABrokenCollector(t *testing.T) {
	r := prometheus.NewRegistry()
	work := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "work_seconds", Buckets: []float64{1}})
	r.MustRegister(work, broken{})
	work.Observe(0.5)
	got, err := Timings(r)
	if err == nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

type broken struct{}

func (broken) Describe(c chan<- *prometheus.Desc) { c <- brokenDesc() }

func (broken) Collect(c chan<- prometheus.Metric) {
	c <- prometheus.NewInvalidMetric(brokenDesc(), errors.New("broken"))
}

func brokenDesc() *prometheus.Desc { return prometheus.NewDesc("broken", "Is broken.", nil, nil) }
