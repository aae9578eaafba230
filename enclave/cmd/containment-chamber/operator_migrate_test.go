package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
)

// rawKey is the n-th key, as Web3Signer's key files have it, and its public half.
func rawKey(t *testing.T, n int) (file, public string) {
	t.Helper()
	scalar := make([]byte, bls.SecretKeySize)
	scalar[30], scalar[31] = byte(n>>8), byte(n)
	text := fmt.Sprintf("type: \"file-raw\"\nkeyType: \"BLS\"\nprivateKey: \"0x%x\"\n", scalar)
	key, err := bls.NewSecretKey(scalar)
	if err != nil {
		t.Fatal(err)
	}
	return text, key.PublicKey().String()
}

// server is a signer of its own process, with raw keys and a store that is empty at first.
type server struct {
	t                   *testing.T
	binary, config, url string
	process             *rig.Process // nil while it does not run
}

func newServer(t *testing.T, binary string, keys ...int) *server {
	t.Helper()
	dir := t.TempDir()
	ports, err := rig.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range keys {
		text, _ := rawKey(t, n)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", n)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &server{t: t, binary: binary, url: fmt.Sprintf("http://127.0.0.1:%d", ports[0])}
	s.config = configFile(t, fmt.Sprintf(`network: hoodi
server: {listen_port: %d}
metrics: {listen_port: %d}
key_sources: {filesystem: {paths: [%[3]s]}}
anti_slashing: {backend: sqlite, unknown_keys: refuse, sqlite: {path: %[3]s/slashing.sqlite}}
`, ports[0], ports[1], dir))
	t.Cleanup(s.stop)
	return s
}

// run starts it unless it runs, and waits until it is ready.
func (s *server) run() {
	s.t.Helper()
	if s.process != nil {
		return
	}
	p, err := rig.Start(rig.Command{Name: "signer", Binary: s.binary, Args: []string{"server", "-c", s.config}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.process = p
	if err := rig.During(s.t.Context(), func(ctx context.Context) error {
		return rig.Await(ctx, "the signer", func() (bool, error) {
			status, _, err := rig.Get(ctx, s.url+"/readyz")
			return status == http.StatusOK, err
		})
	}, p); err != nil {
		s.t.Fatal(rig.Explain(err, p))
	}
}

func (s *server) stop() {
	if s.process == nil {
		return
	}
	if err := s.process.Terminate(); err != nil {
		s.t.Error(rig.Explain(err, s.process))
	}
	s.process = nil
}

// startServer runs a signer until the test ends, and returns its URL.
func startServer(t *testing.T, binary string, keys ...int) (url string) {
	t.Helper()
	s := newServer(t, binary, keys...)
	s.run()
	return s.url
}

// buildServer makes the program.
func buildServer(t *testing.T) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "containment-chamber")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// compare runs the command over http.
func compare(t *testing.T, signer, old string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	all := []string{"operator", "migrate", "compare", "--signer-url", signer, "--allow-plaintext-signer"}
	if old != "" {
		all = append(all, "--old", old, "--allow-plaintext-old")
	}
	if !slices.Contains(args, "--network") && !slices.Contains(args, "--genesis-validators-root") && strings.HasPrefix(signer, "http://127") { // whose status needs a token
		all = append(all, "--network", "hoodi")
	}
	return command(t, append(all, args...)...)
}

// decoded is what --output json says.
func decoded(t *testing.T, out string) (c compared) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	return c
}

// TestMigrateCompare: between two running signers, with keys that both have and that one of them has.
func TestMigrateCompare(t *testing.T) {
	binary := buildServer(t)
	old, signer := startServer(t, binary, 1, 2, 3), startServer(t, binary, 1, 2, 4)
	var public [5]string
	for n := range public[1:] {
		_, public[n+1] = rawKey(t, n+1)
	}
	journal := filepath.Join(t.TempDir(), "passed")
	code, out, errs := compare(t, signer, old, "--output", "json", "--resume", journal)
	got := decoded(t, out)
	want := compared{
		Old: old, Signer: signer, Network: "hoodi", Slot: got.Slot, KeysOld: 3, KeysNew: 3, Compared: 2, Passed: 2,
		OnlyNew: []string{public[4]}, OnlyOld: []string{public[3]}, NotOnOld: []string{}, Failed: []comparedKey{},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(comparedKey{})); diff != "" || got.Slot < farSlot || got.Slot >= 2*farSlot {
		t.Errorf("-want +got\n%s", diff)
	}
	if code != exitFailure || !strings.Contains(errs, "1 keys do not sign here as they should") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	code, out, _ = compare(t, signer, old, "--resume", journal)
	if code != exitFailure || !strings.Contains(out, public[3]+"  NOT ON THE NEW SIGNER\n") || !strings.Contains(out, "0, and 2 earlier") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	subset := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(subset, []byte(public[1]+"\n"+public[2]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		old  string
		args []string
	}{
		"a subset":          {old, []string{"--pubkeys", subset}},
		"without an old":    {"", []string{"--pubkeys", subset}},
		"the root of hoodi": {old, []string{"--pubkeys", subset, "--genesis-validators-root", "0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"}},
	} {
		code, out, errs := compare(t, signer, test.old, append(test.args, "--output", "json")...)
		if got := decoded(t, out); code != exitOK || got.Passed != 2 || got.Slot == want.Slot {
			t.Errorf("%s: exit code %d, %s%s", name, code, out, errs)
		}
	}
	// Another network is refused by this signer, for every key.
	code, out, _ = compare(t, signer, old, "--pubkeys", subset, "--network", "mainnet", "--output", "json")
	if got := decoded(t, out); code != exitFailure || len(got.Failed) != 2 || got.Failed[0].Result != keyRefused || got.Failed[0].New.Status != http.StatusForbidden {
		t.Errorf("exit code %d\n%s", code, out)
	}
	// Both were asked for signatures only that no record is needed for: a vote would still be the first of its key, which they refuse.
	for _, url := range []string{old, signer} {
		if status, body := askSigner(t, url+routeSign+public[1], rig.Vote(10, 11)); status != http.StatusPreconditionFailed {
			t.Errorf("a vote of a key without a record: status %d, %s", status, body)
		}
	}
}

// askSigner posts a request and returns status and body of the answer.
func askSigner(t *testing.T, url string, request map[string]any) (status int, body string) {
	t.Helper()
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	res, err := new(http.Client).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}
