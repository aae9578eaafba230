package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
)

// TestChamberTables: no signer makes them, the command does, again without harm, and counts an empty one too.
func TestChamberTables(t *testing.T) {
	if testing.Short() { // databases are services
		return
	}
	server, err := dynamodbtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	dir := t.TempDir()
	at := fmt.Sprintf("region: %s, endpoint: %q", dynamodbtest.Region, server.Endpoint())
	config := filepath.Join(dir, "config.yaml")
	ports := freePorts(t, 2)
	writeFile(t, config, fmt.Sprintf(`network: hoodi
server: {listen_port: %d}
metrics: {listen_address: 127.0.0.1, listen_port: %d}
anti_slashing: {backend: sqlite, sqlite: {path: %s/slashing.sqlite}}
chamber: {kms_key_arns: ["arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-000000000001"]}
signer_state: {backend: dynamodb, table: the-state, %s}
key_sources: {dynamodb: {table: the-keys, %s}}
`, ports[0], ports[1], dir, at, at))
	if p := start(t, "containment-chamber", "server", "-c", config); p.wait() != 1 || !strings.Contains(p.text(), "the-state") || !strings.Contains(p.text(), "tables make") {
		t.Errorf("server without tables: %s", p.text())
	}
	for range 2 {
		p := start(t, "containment-chamber", "tables", "make", "-c", config)
		if p.wait() != 0 || !strings.Contains(p.text(), "table the-state can be used") || !strings.Contains(p.text(), "table the-keys can be used") {
			t.Errorf("make: %s", p.text())
		}
	}
	if p := start(t, "containment-chamber", "tables", "recount", "-c", config); p.wait() != 0 || !strings.Contains(p.text(), "table the-keys is counted") {
		t.Errorf("recount: %s", p.text())
	}
	files, _, _ := standard(t, "")
	for _, verb := range []string{"make", "recount"} {
		if p := start(t, "containment-chamber", "tables", verb, "-c", files); p.wait() != 1 || !strings.Contains(p.text(), "the configuration names no such table") {
			t.Errorf("%s without tables: %s", verb, p.text())
		}
	}
}
