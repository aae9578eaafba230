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
