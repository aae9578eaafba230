package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScrape(t *testing.T) {
	const most = "# HELP go_memstats_mallocs_total of objects\ngo_memstats_mallocs_total 1.5e+06\ngo_memstats_alloc_bytes_total 42\n" +
		"containment_http_connections_limit{listener=\"main\"} 7\ncontainment_http_connections_limit{listener=\"tls\"} 8\n"
	for _, test := range []struct {
		name, text, failure string
		want                readings
	}{
		{"all", most + "go_cpu_classes_gc_total_cpu_seconds_total 0.25\n", "", readings{1.5e6, 42, 0.25, 7}},
		{"one missing", most, "has no go_cpu_classes_gc_total_cpu_seconds_total", readings{}},
		{"not a number", most + "go_cpu_classes_gc_total_cpu_seconds_total much\n", `is "much"`, readings{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, test.text) }))
			defer s.Close()
			got, err := scrape(t.Context(), s.URL)
			expect(t, "scrape", err, test.failure)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(readings{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
