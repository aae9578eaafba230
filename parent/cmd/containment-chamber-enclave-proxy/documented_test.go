package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMetricsAreDocumented: what a running parent shows of itself is what docs/metrics.md says, and no less.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## The parent\n")
	if !found {
		t.Fatal("docs/metrics.md has no section of the parent")
	}
	section, _, _ = strings.Cut(section, "\n## ")

	w := newWorld(t, route("kms", "localhost", tlsServer(t, false), "8001", false))
	p := w.start(t)
	health := p.address(t, "health")
	p.out.await(t, `"event":"started"`)
	c := w.dial(t, 8001)
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\n\r\n") // not TLS: some metrics show themselves when they count
	_, _ = io.ReadAll(c)
	_ = c.Close()
	awaitMetric(t, health, `containment_parent_clients_refused_total{listener="egress/kms",reason="not_tls"} 1`)
	_, text := get(t, health, "/metrics")
	p.stop()
	p.end(t, 0)

	names := func(pattern, text string) (out []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			out = append(out, m[1])
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	shown, told := names(`(?m)^# HELP (containment_\S+)`, text), names("`(containment_parent_\\w+)`", section)
	if diff := cmp.Diff(shown, told); diff != "" {
		t.Errorf("-shown +documented:\n%s", diff)
	}
}
