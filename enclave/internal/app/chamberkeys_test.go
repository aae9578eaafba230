package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	operators "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

const chamberKeys = "/api/v1/chamber/keys"

const storedKeysOn = "CONTAINMENT_KEY_SOURCES__DATABASE__ENABLED=true"

// startStored is a signer with stored keys, whose configuration says this of the calls to them.
func startStored(t *testing.T, calls string) *alone {
	t.Helper()
	return startAlone(t, strings.Replace(startVault(t).configuration(), "chamber: {", "chamber: {keys: {"+calls+"}, ", 1), storedKeysOn)
}

// again is the signer after a restart, on the same files.
func (a *alone) again() *alone {
	a.t.Helper()
	a.stop()
	if err := <-a.done; err != nil {
		a.t.Fatal(err)
	}
	a.done <- nil
	b := &alone{t: a.t, dir: a.dir, lines: &lines{}, client: a.client, root: a.root, done: make(chan error, 1)}
	cfg, err := config.Load(config.Sources{Path: filepath.Join(a.dir, "config.yaml"), Environ: []string{storedKeysOn}})
	if err != nil {
		a.t.Fatal(err)
	}
	stores := map[string]OpenStore{"sqlite": func(ctx context.Context, s config.AntiSlashing, _ egress.DialFunc) (slashing.Store, error) {
		return sqlite.Open(ctx, s.SQLite.Path)
	}}
	ctx, stop := context.WithCancel(a.t.Context())
	b.stop = stop
	go func() {
		b.done <- run(ctx, Options{Platform: Platform{Name: "none", Direct: egress.Direct(), Backends: custodyBackends(stores)}, Config: cfg, Stdout: b.lines})
	}()
	a.t.Cleanup(func() { stop(); b.done <- <-b.done })
	b.await()
	return b
}

// TestNewKeysSignAtOnceAndAfterARestart, and their backup is there.
func TestNewKeysSignAtOnceAndAfterARestart(t *testing.T) {
	const recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
	a := startStored(t, "generate: {enabled: true, max_items_per_request: 2, backup: {enabled: true, recipients: ["+recipient+"]}}")
	if status, body := a.order(a.root, chamberKeys+"/generate", `{"count":3}`); status != http.StatusBadRequest || !strings.Contains(body, "count: 3, want 1 to 2") {
		t.Errorf("%d %s", status, body)
	}
	status, body := a.order(a.root, chamberKeys+"/generate", `{"count":2}`)
	var made operators.Generated
	if err := json.Unmarshal([]byte(body), &made); err != nil || status != http.StatusOK || len(made.Data) != 2 {
		t.Fatalf("%d %s %v", status, body, err)
	}
	for _, key := range made.Data {
		if status, body := a.sign(key.Pubkey, 1); status != http.StatusOK {
			t.Errorf("at once: %d %s", status, body)
		}
	}
	a = a.again()
	first := made.Data[0].Pubkey
	if status, body := a.sign(first, 2); status != http.StatusOK {
		t.Errorf("after a restart: %d %s", status, body)
	}
	a.token = a.root
	if status, _, body := a.ask(http.MethodGet, a.main+chamberKeys+"/"+first+"/backup", "", ""); status != http.StatusOK || !strings.Contains(body, "AGE ENCRYPTED") {
		t.Errorf("backup: %d %s", status, body)
	}
}

// TestACanaryThatIsStored: who asks for it raises the metric, and is named in the log, also after a restart; another key raises nothing.
func TestACanaryThatIsStored(t *testing.T) {
	a := startStored(t, "generate: {enabled: true}")
	made := map[bool]string{}
	for canary := range map[bool]bool{true: true, false: true} {
		status, body := a.order(a.root, chamberKeys+"/generate", fmt.Sprintf(`{"count":1,"canary":%t}`, canary))
		var got operators.Generated
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s %v", status, body, err)
		}
		made[canary] = got.Data[0].Pubkey
	}
	for _, when := range []string{"at once", "after a restart"} {
		a.sign(made[false], 1)
		if lines := a.lines.with("a canary key was asked for"); len(lines) != 0 {
			t.Errorf("%s: another key: %v", when, lines)
		}
		a.sign(made[true], 1)
		a.until(func() bool { return len(a.lines.with("a canary key was asked for")) > 0 }) // which comes after the answer
		lines := a.lines.with("a canary key was asked for")
		if len(lines) != 1 || lines[0]["key"] != made[true] || lines[0]["audit"] != "canary" || lines[0]["caller"] == nil {
			t.Errorf("%s: %v", when, lines)
		}
		if _, _, text := a.ask(http.MethodGet, a.meters+"/metrics", "", ""); !strings.Contains(text, "containment_canary_signing_total 1\n") {
			t.Errorf("%s: the metric says otherwise", when)
		}
		if when == "at once" {
			a = a.again()
		}
	}
}

// TestSwitchesOfKeyCalls: what is off has no route; what is there by default is.
func TestSwitchesOfKeyCalls(t *testing.T) {
	for calls, want := range map[string]map[string]bool{
		"": {"GET": true, "POST": true, "PATCH": true, "DELETE": true},
		"import: {enabled: false}, lifecycle: {enabled: false}, generate: {enabled: true}": {"GET": true, "POST /generate": true},
	} {
		a := startStored(t, calls)
		a.token = a.root
		for _, call := range []string{"GET", "POST", "PATCH", "DELETE", "POST /generate"} {
			method, path, _ := strings.Cut(call, " ")
			status, _, body := a.ask(method, a.main+chamberKeys+path, "", "")
			if there := status != http.StatusNotFound && status != http.StatusMethodNotAllowed; there != want[call] {
				t.Errorf("%q: %s is there %t: %d %s", calls, call, there, status, body)
			}
		}
	}
}

// TestSealedKeyCalls: none does anything, also for who has a token of a file, which is known without the master key.
func TestSealedKeyCalls(t *testing.T) {
	a := startStored(t, "generate: {enabled: true}")
	const token = "an-operator-of-the-tests"
	key := chamberKeys + "/" + publicKey
	for _, sealed := range []bool{false, true} {
		for call, body := range map[string]string{
			"GET " + chamberKeys: "", "POST " + chamberKeys: `{"keystores":["{}"],"passwords":["x"]}`, "POST " + chamberKeys + "/generate": `{"count":1}`,
			"PATCH " + chamberKeys: `{"pubkeys":["` + publicKey + `"],"status":"active"}`, "DELETE " + chamberKeys: `{"pubkeys":["` + publicKey + `"]}`,
			"GET " + key + "/backup": "",
		} {
			method, path, _ := strings.Cut(call, " ")
			a.token = token
			if status, _, text := a.ask(method, a.main+path, "", body); (status == http.StatusServiceUnavailable) != sealed {
				t.Errorf("sealed %t: %s: %d %s", sealed, call, status, text)
			}
		}
		if status, body := a.order(a.root, "/api/v1/chamber/operator/seal", ""); !sealed && status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
}

// TestACanaryByItsFile: the flag holds from the load that reads it until one that does not, without a restart.
func TestACanaryByItsFile(t *testing.T) {
	a := startAlone(t, "")
	alarms := 0
	for i, canary := range []string{"", "canary: true\n", "canary: true\n", "canary: false\n"} {
		a.write("keys/first.yaml", descriptorOf(secretKey)+canary)
		a.reload()
		if status, body := a.sign(publicKey, i); status != http.StatusOK {
			t.Errorf("%d %s", status, body)
		}
		if canary == "canary: true\n" {
			alarms++
		}
		a.until(func() bool { return len(a.lines.with("signing request")) > i }) // which comes after the alarm
		if found := a.lines.with("a canary key was asked for"); len(found) != alarms {
			t.Errorf("after %d: %v, want %d", i, found, alarms)
		}
	}
}
