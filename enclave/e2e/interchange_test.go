package e2e

import (
	"bytes"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// slashingCommand runs "containment-chamber slashing" and returns exit code, standard output and standard error.
func slashingCommand(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), filepath.Join(binaries, "containment-chamber"), append([]string{"slashing"}, args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment(), &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// TestHistoryMovesToAnotherSigner: what one signer signed, another refuses to contradict once it has imported the export, and
// signs again what is identical.
func TestHistoryMovesToAnotherSigner(t *testing.T) {
	config, url, _ := standard(t, "")
	first := start(t, "containment-chamber", "server", "-c", config)
	client := newClient(t)
	awaitReady(t, client, url, first)
	path := "/api/v1/eth2/sign/" + interopPublic
	status, signature := call(t, client, http.MethodPost, url+path, vote(10, 11))
	if status != http.StatusOK {
		t.Fatalf("sign: %d %s", status, signature)
	}
	file := filepath.Join(t.TempDir(), "history.json")
	if code, _, stderr := slashingCommand(t, "export", file, "-c", config); code != 1 || !strings.Contains(stderr, "stop the signer first") {
		t.Errorf("export while the signer runs: exit code %d, %s", code, stderr)
	}
	if code := first.terminate(); code != 0 {
		t.Fatalf("exit code %d after SIGTERM", code)
	}
	client.CloseIdleConnections()
	if code, stdout, stderr := slashingCommand(t, "export", file, "-c", config); code != 0 || stdout != "wrote 1 keys to "+file+"\n" {
		t.Fatalf("export: exit code %d, %s%s", code, stdout, stderr)
	}

	config, url, _ = standard(t, "")
	if code, stdout, stderr := slashingCommand(t, "import", file, "-c", config); code != 0 ||
		!strings.Contains(stdout, "new        "+interopPublic+"  source 10 target 11, no block\n") {
		t.Fatalf("import: exit code %d, %s%s", code, stdout, stderr)
	}
	second := start(t, "containment-chamber", "server", "-c", config)
	awaitReady(t, client, url, second)
	for _, c := range []struct {
		name, body string
		status     int
		says       string
	}{
		{"surrounding", vote(9, 12), http.StatusPreconditionFailed, "surround"},
		{"double", strings.Replace(vote(10, 11), "11111111", "22222222", 1), http.StatusPreconditionFailed, "double"},
		{"identical", vote(10, 11), http.StatusOK, signature},
		{"next", vote(11, 12), http.StatusOK, ""},
	} {
		if status, body := call(t, client, http.MethodPost, url+path, c.body); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s, want %d with %q", c.name, status, body, c.status, c.says)
		}
	}
}
