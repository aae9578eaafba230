package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// interopSecret is a key that everybody knows: the first of the eth2 interop keys.
const (
	interopSecret = "25295f0d1d592a90b333e26e85149708208e9f8e8bc18f6c77bd62f8ad7a6866"
	interopPublic = "0xa99a76ed7796f7be22d5b7e85deeb7c5677e88e511e0b337618f8c4eb61349b4bf2d153f649f7b53359fe8b94a38e44c"
)

// standard writes the configuration of a signer alone, with one raw key, and returns its path and URLs.
func standard(t *testing.T, extra string) (config, url, metrics string) {
	t.Helper()
	dir := t.TempDir()
	ports := freePorts(t, 2)
	writeFile(t, filepath.Join(dir, "keys", "interop.yaml"), fmt.Sprintf("type: file-raw\nkeyType: BLS\nprivateKey: %q\n", interopSecret))
	config = filepath.Join(dir, "config.yaml")
	writeFile(t, config, fmt.Sprintf(`network: hoodi
server: {listen_port: %d}
metrics: {listen_address: 127.0.0.1, listen_port: %d}
key_sources: {filesystem: {paths: [%s/keys]}}
anti_slashing: {backend: sqlite, sqlite: {path: %s/slashing.sqlite}}
auth: {policy_file: %s}
%s`, ports[0], ports[1], dir, dir, policyFile(t, dir), extra))
	return config, fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d/metrics", ports[1])
}

// operatorToken is a management token that signers of the tests know.
const operatorToken = "an-operator-of-the-tests"

// policyFile writes a file that knows operatorToken.
func policyFile(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "policies.yaml")
	writeFile(t, path, operatorPolicies())
	return path
}

func operatorPolicies() string {
	return fmt.Sprintf("tokens: [{name: operator, management: true, secret: 'sha256:%x'}]\n", sha256.Sum256([]byte(operatorToken)))
}

// vote is an ATTESTATION request on hoodi.
func vote(source, target int) string {
	root := "0x" + strings.Repeat("11", 32)
	return fmt.Sprintf(`{"type":"ATTESTATION","fork_info":{"fork":{"previous_version":"0x60000910","current_version":"0x70000910","epoch":"50688"},
"genesis_validators_root":"0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"},
"attestation":{"slot":"%d","index":"0","beacon_block_root":"%[3]s","source":{"epoch":"%[1]d","root":"%[3]s"},"target":{"epoch":"%[2]d","root":"%[3]s"}}}`,
		source, target, root)
}

func TestStandardModeSignsAndDrains(t *testing.T) {
	config, url, metrics := standard(t, "")
	p := start(t, "containment-chamber", "server", "-c", config)
	client := newClient(t)
	awaitReady(t, client, url, p)

	if status, body := call(t, client, http.MethodGet, url+"/api/v1/eth2/publicKeys", ""); status != 200 || strings.TrimSpace(body) != `["`+interopPublic+`"]` {
		t.Errorf("public keys: %d %s", status, body)
	}
	sign := url + "/api/v1/eth2/sign/" + interopPublic
	status, first := call(t, client, http.MethodPost, sign, vote(10, 11))
	if status != http.StatusOK {
		t.Fatalf("sign: %d %s", status, first)
	}
	if status, second := call(t, client, http.MethodPost, sign, vote(10, 11)); status != http.StatusOK || second != first {
		t.Errorf("identical vote: %d %s, want the same signature", status, second)
	}
	for _, c := range []struct {
		name, path, body string
		status           int
		says             string
	}{
		{"surrounding", sign, vote(9, 12), 412, "surround"},
		{"double", sign, strings.Replace(vote(10, 11), "11111111", "22222222", 1), 412, "11"},
		{"unknown key", url + "/api/v1/eth2/sign/0x" + strings.Repeat("ab", 48), vote(20, 21), 404, "abababab"},
		{"other network", sign, strings.Replace(vote(20, 21), "212f13fc", "00000000", 1), 403, "212f13fc"},
		{"garbage", sign, "\x00\x01", 400, "JSON"},
	} {
		status, body := call(t, client, http.MethodPost, c.path, c.body)
		var problem struct {
			Code           int
			Message, Error string
		}
		if err := json.Unmarshal([]byte(body), &problem); err != nil {
			t.Errorf("%s: body %q is not JSON: %v", c.name, body, err)
		}
		if status != c.status || problem.Code != c.status || !strings.Contains(problem.Message, c.says) {
			t.Errorf("%s: %d %s, want %d with %q", c.name, status, body, c.status, c.says)
		}
	}
	if _, body := call(t, client, http.MethodGet, metrics, ""); !strings.Contains(body, "containment_enclave_log_events_dropped_total 0") ||
		!strings.Contains(body, "containment_slashing_rejections_total 2") {
		t.Errorf("metrics lack the counters:\n%s", body)
	}
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	if strings.Contains(p.text(), interopSecret) {
		t.Error("the secret key is in the output")
	}
}

// TestAKilledSignerRemembers is the promise itself: what was signed before a crash is on record after it.
func TestAKilledSignerRemembers(t *testing.T) {
	config, url, _ := standard(t, "")
	p := start(t, "containment-chamber", "server", "-c", config)
	client := newClient(t)
	awaitReady(t, client, url, p)
	sign := url + "/api/v1/eth2/sign/" + interopPublic
	if status, body := call(t, client, http.MethodPost, sign, vote(10, 11)); status != http.StatusOK {
		t.Fatalf("sign: %d %s", status, body)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.wait()
	client.CloseIdleConnections()

	p = start(t, "containment-chamber", "server", "-c", config)
	awaitReady(t, client, url, p)
	if status, body := call(t, client, http.MethodPost, sign, vote(9, 12)); status != http.StatusPreconditionFailed {
		t.Errorf("surrounding vote after the crash: %d %s", status, body)
	}
	if status, body := call(t, client, http.MethodPost, sign, vote(10, 11)); status != http.StatusOK {
		t.Errorf("identical vote after the crash: %d %s", status, body)
	}
}

func TestAWideBindWithoutAccessControlIsWarnedAbout(t *testing.T) {
	config, url, _ := standard(t, "")
	p := start(t, "containment-chamber", "server", "-c", config, "--server-listen-address", "0.0.0.0")
	awaitReady(t, newClient(t), url, p)
	p.await(`"level":"warn"`)
	if !strings.Contains(p.text(), "0.0.0.0") || !strings.Contains(p.text(), "auth.mode") {
		t.Errorf("no warning names the address and auth.mode:\n%s", p.text())
	}
}

func TestASecondSignerOnOneDatabaseIsRefused(t *testing.T) {
	config, url, _ := standard(t, "")
	p := start(t, "containment-chamber", "server", "-c", config)
	awaitReady(t, newClient(t), url, p)
	ports := freePorts(t, 2)
	second := start(t, "containment-chamber", "server", "-c", config,
		"--server-listen-port", fmt.Sprint(ports[0]), "--metrics-listen-port", fmt.Sprint(ports[1]))
	if code := second.wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	second.await("slashing.sqlite")
}
