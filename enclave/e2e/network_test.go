package e2e

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestAStoreBelongsToOneNetwork: a database that has served one network is refused by a signer of another.
func TestAStoreBelongsToOneNetwork(t *testing.T) {
	config, url, _ := standard(t, "")
	p := start(t, "containment-chamber", "server", "-c", config)
	client := newClient(t)
	awaitReady(t, client, url, p)
	sign := url + "/api/v1/eth2/sign/" + interopPublic
	if status, body := call(t, client, http.MethodPost, sign, vote(10, 1<<40)); status != http.StatusForbidden || !strings.Contains(body, "is ahead of the current epoch") {
		t.Errorf("a vote of the far future: %d %s", status, body)
	}
	if status, body := call(t, client, http.MethodPost, sign, vote(10, 11)); status != http.StatusOK {
		t.Errorf("a vote below it: %d %s", status, body)
	}
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}

	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, config, strings.Replace(string(text), "network: hoodi", "network: sepolia", 1))
	p = start(t, "containment-chamber", "server", "-c", config)
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	const words = "belongs to another network: its genesis validators root is 0x212f13fc"
	if !strings.Contains(p.text(), words) {
		t.Errorf("no %q in %s", words, p.text())
	}
}
