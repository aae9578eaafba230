package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryMetricIsDocumented: what either process shows of itself stands in docs/metrics.md.
func TestEveryMetricIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	ports := freePorts(t, 4)
	config := splitWorld(t, dir, filepath.Join(dir, "s"), ports)
	start(t, "containment-chamber-enclave-proxy", "run", "-c", config)
	signer := start(t, "containment-chamber", "server", "-c", config)
	awaitReady(t, newClient(t), fmt.Sprintf("http://127.0.0.1:%d", ports[0]), signer)
	if status, body := call(t, attestedClient(t, dir), http.MethodPost, fmt.Sprintf("https://127.0.0.1:%d/api/v1/eth2/sign/%s", ports[2], interopPublic), vote(10, 11)); status != http.StatusOK {
		t.Fatalf("sign: %d %s", status, body)
	}
	for process, least := range map[string]struct{ port, metrics int }{"signer": {ports[1], 20}, "parent": {ports[3], 12}} {
		_, text := call(t, newClient(t), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", least.port), "")
		names := regexp.MustCompile(`(?m)^# HELP (containment_\S+)`).FindAllStringSubmatch(text, -1)
		if len(names) < least.metrics {
			t.Errorf("the %s shows %d metrics, want at least %d", process, len(names), least.metrics)
		}
		for _, name := range names {
			if !strings.Contains(string(page), "`"+name[1]+"`") {
				t.Errorf("docs/metrics.md does not know %s of the %s", name[1], process)
			}
		}
	}
}

// TestEveryConfigurationShownIsValid: whole configurations on the pages are accepted.
func TestEveryConfigurationShownIsValid(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range append(pages, filepath.Join("..", "..", "README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range regexp.MustCompile("(?s)\n```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			if !regexp.MustCompile(`(?m)^network:`).MatchString(block[1]) || !regexp.MustCompile(`(?m)^anti_slashing:`).MatchString(block[1]) {
				continue // a part of one, or of something else
			}
			seen++
			config := filepath.Join(t.TempDir(), "config.yaml")
			writeFile(t, config, block[1])
			if code := start(t, "containment-chamber", "config", "check", "-c", config).wait(); code != 0 {
				t.Errorf("%s, block %d: config check ends with code %d", page, i, code)
			}
		}
	}
	if seen < 4 {
		t.Errorf("%d whole configurations", seen)
	}
}
