package telemetry

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Timing is how long something took, by one histogram of the registry.
type Timing struct {
	Metric string            `json:"metric"`
	Labels map[string]string `json:"labels,omitempty"`
	Count  uint64            `json:"count"` // since the process started
	Mean   float64           `json:"mean_seconds"`
	// The quantiles are seconds, as far as the buckets tell: interpolated within one, like histogram_quantile of PromQL. One that lies above
	// the last bound is that bound, and Above is true.
	P50   float64 `json:"p50_seconds"`
	P95   float64 `json:"p95_seconds"`
	P99   float64 `json:"p99_seconds"`
	Above bool    `json:"p99_above_last_bucket,omitempty"`
}

// bucket counts observations up to a bound.
type bucket struct {
	bound float64
	count uint64 // of this and all smaller ones
}

// Timings returns the histograms of seconds in which something was observed, in the order of their names.
func Timings(g prometheus.Gatherer) ([]Timing, error) {
	families, err := g.Gather() // what could be gathered is there with an error too
	timings := []Timing{}
	for _, family := range families {
		if !strings.HasSuffix(family.GetName(), "_seconds") {
			continue
		}
		for _, m := range family.GetMetric() {
			h := m.GetHistogram()
			if h.GetSampleCount() == 0 {
				continue
			}
			t := Timing{Metric: family.GetName(), Count: h.GetSampleCount(), Mean: h.GetSampleSum() / float64(h.GetSampleCount())}
			for _, pair := range m.GetLabel() {
				if t.Labels == nil {
					t.Labels = map[string]string{}
				}
				t.Labels[pair.GetName()] = pair.GetValue()
			}
			var buckets []bucket
			for _, b := range h.GetBucket() {
				buckets = append(buckets, bucket{b.GetUpperBound(), b.GetCumulativeCount()})
			}
			t.P50, _ = quantile(0.5, buckets, t.Count)
			t.P95, _ = quantile(0.95, buckets, t.Count)
			t.P99, t.Above = quantile(0.99, buckets, t.Count)
			timings = append(timings, t)
		}
	}
	if err != nil {
		return timings, fmt.Errorf("gather metrics: %w", err)
	}
	return timings, nil
}

// quantile is the value below which a share q of all observations lies. above is true if the last bound is too small for it.
func quantile(q float64, buckets []bucket, count uint64) (value float64, above bool) {
	rank := q * float64(count)
	i := slices.IndexFunc(buckets, func(b bucket) bool { return float64(b.count) >= rank && !math.IsInf(b.bound, 1) })
	if i < 0 {
		for _, b := range buckets {
			if !math.IsInf(b.bound, 1) {
				value = b.bound
			}
		}
		return value, true
	}
	least, below := 0.0, uint64(0)
	if i > 0 {
		least, below = buckets[i-1].bound, buckets[i-1].count
	}
	if buckets[i].count == below { // rank is 0
		return least, false
	}
	return least + (buckets[i].bound-least)*(rank-float64(below))/float64(buckets[i].count-below), false
}
