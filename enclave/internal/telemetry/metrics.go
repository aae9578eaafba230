package telemetry

import (
	"net/http"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// scrapesAtOnce is how many scrapes are answered at a time; others get 503.
	scrapesAtOnce = 4
	scrapeLimit   = 10 * time.Second
)

// NewRegistry makes the registry of this process, with what the Go runtime and the operating system say of it, and
// containment_build_info, which is always 1 and carries the version and the platform (none, nitro or simulated). Of the
// runtime's own metrics it has the two whose ratio is the share of CPU time that garbage collection takes.
func NewRegistry(version, platform string) *prometheus.Registry {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "containment_build_info",
		Help:        "1, with the build's version and the platform it runs on.",
		ConstLabels: prometheus.Labels{"version": version, "platform": platform},
	})
	build.Set(1)
	r := prometheus.NewRegistry()
	r.MustRegister( // a new registry has no collector that these could clash with
		build,
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.GoRuntimeMetricsRule{
			Matcher: regexp.MustCompile(`^/cpu/classes/(gc/)?total:cpu-seconds$`),
		})),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// Handler answers scrapes of the registry.
func Handler(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		Registry:            r,
		ErrorHandling:       promhttp.ContinueOnError, // one broken collector must not hide the others
		MaxRequestsInFlight: scrapesAtOnce,
		Timeout:             scrapeLimit,
	})
}
