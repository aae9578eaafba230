package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// slashingCommand runs "containment-chamber slashing" and returns exit code, standard output and standard error.
func slashingCommand(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if slices.Contains(args, "--signer-url") {
		args = append(args, "--auth-token", operatorToken, "--allow-plaintext-signer")
	}
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

// otherPublic is the second of the eth2 interop keys, which no signer of these tests has.
const otherPublic = "0xb89bebc699769726a318c8e9971bd3171297c61aea4a6578a7a4f94b547dcba5bac16a89108b6b6a1fe3695d1a874a0b"

// startServed starts a signer that serves the slashing protection to operators, and returns its configuration and URL.
func startServed(t *testing.T, flags ...string) (p *process, client *http.Client, config, url string) {
	t.Helper()
	config, url, _ = standard(t, "")
	p = start(t, "containment-chamber", append([]string{"server", "-c", config, "--anti-slashing-api"}, flags...)...)
	client = newClient(t)
	awaitReady(t, client, url, p)
	return p, client, config, url
}

// TestSlashingVerbsWorkBothWays runs the same session on a store and through a running signer.
func TestSlashingVerbsWorkBothWays(t *testing.T) {
	_, _, _, url := startServed(t)
	for name, at := range map[string]struct{ flag, more, place string }{
		"store":  {"-choodi.yaml", "", `^store: sqlite /.*/s\.sqlite$`},
		"signer": {"--signer-url=" + url, " --allow-plaintext-signer --auth-token " + operatorToken, "^signer: " + regexp.QuoteMeta(url) + "$"},
	} {
		t.Run(name, func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Dir: "testdata/script/slashing-both",
				Setup: func(env *testscript.Env) error {
					// A script's $AT is one word.
					bin := filepath.Join(env.WorkDir, "bin")
					program := "#!/bin/sh\nexec " + filepath.Join(binaries, "containment-chamber") + " \"$@\"" + at.more + "\n"
					if err := errors.Join(os.Mkdir(bin, 0o700), os.WriteFile(filepath.Join(bin, "containment-chamber"), []byte(program), 0o700)); err != nil {
						return err
					}
					env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
					env.Setenv("AT", at.flag)
					env.Setenv("PLACE", at.place)
					env.Setenv("KNOWN", interopPublic)
					env.Setenv("UNKNOWN", otherPublic)
					return nil
				},
			})
		})
	}
}

// slashingDone runs a command that must succeed, and returns standard output.
func slashingDone(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := slashingCommand(t, args...)
	if code != 0 {
		t.Fatalf("slashing %q: exit code %d, %s", args, code, stderr)
	}
	return stdout
}

// interchangeOf writes a file of one key with many attestations, of which the last has the greatest heights.
func interchangeOf(t *testing.T, key string, attestations, source, target int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.json")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprintf(w, `{"metadata": {"interchange_format_version": "5", "genesis_validators_root": "0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"},
"data": [{"pubkey": "%s", "signed_blocks": [], "signed_attestations": [`, key)
	for range attestations - 1 {
		fmt.Fprint(w, `{"source_epoch": "0", "target_epoch": "1"},`+"\n")
	}
	fmt.Fprintf(w, `{"source_epoch": "%d", "target_epoch": "%d"}]}]}`, source, target)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

var exportedTarget = regexp.MustCompile(`"target_epoch": "(\d+)"`)

// recordedTarget is the target epoch that a signer has on record, of its one key that has voted.
func recordedTarget(t *testing.T, url string) int {
	t.Helper()
	found := exportedTarget.FindStringSubmatch(slashingDone(t, "export", "--signer-url", url))
	if found == nil {
		t.Fatal("nothing on record")
	}
	target, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// TestImportIntoASignerThatSigns: histories with lower and with greater heights come in while the key votes. What is on record never
// falls, no target is signed twice, and what was imported is not signed again. One file is larger than any other request may be.
func TestImportIntoASignerThatSigns(t *testing.T) {
	_, client, _, url := startServed(t)
	const last, ahead = 120, 60
	sign := url + "/api/v1/eth2/sign/" + interopPublic
	low, high := interchangeOf(t, interopPublic, 1, 0, 1), interchangeOf(t, interopPublic, 1<<20, ahead-1, ahead)
	if info, err := os.Stat(high); err != nil || info.Size() < 40<<20 {
		t.Fatalf("the large file is small: %v, %v", info, err)
	}
	begun, imported := make(chan struct{}), make(chan struct{})
	var voting sync.WaitGroup
	signed := 0
	voting.Go(func() {
		for target := 1; target <= last; target++ {
			if target == ahead/2 {
				close(begun) // from now on beside imports
			}
			if target == last {
				<-imported
			}
			switch status, body := call(t, client, http.MethodPost, sign, vote(target-1, target)); {
			case status == http.StatusOK:
				signed++
			case status != http.StatusPreconditionFailed || target > ahead:
				t.Errorf("target %d: %d %s", target, status, body)
			}
		}
	})
	<-begun
	before := recordedTarget(t, url)
	for _, file := range []string{low, high, low, low} {
		out := slashingDone(t, "import", file, "--signer-url", url)
		if file == low && !strings.HasPrefix(out, "unchanged  ") {
			t.Errorf("lower heights: %s", out)
		}
		now := recordedTarget(t, url)
		if now < before || file == high && now < ahead {
			t.Errorf("target %d on record after an import, before it %d", now, before)
		}
		before = now
	}
	close(imported)
	voting.Wait()
	if now := recordedTarget(t, url); now != last || signed < last-ahead {
		t.Errorf("target %d on record, %d votes signed", now, signed)
	}
	for _, target := range []int{1, ahead / 2, ahead, last - 1} {
		if status, body := call(t, client, http.MethodPost, sign, vote(target-1, target)); status != http.StatusPreconditionFailed {
			t.Errorf("target %d again: %d %s", target, status, body)
		}
	}
}

// TestAKeyThatIsNotKnown signs nothing with anti_slashing.unknown_keys: refuse until the command that the refusal names was run.
func TestAKeyThatIsNotKnown(t *testing.T) {
	_, client, _, url := startServed(t, "--anti-slashing-unknown-keys", "refuse")
	sign := url + "/api/v1/eth2/sign/" + interopPublic
	status, body := call(t, client, http.MethodPost, sign, vote(10, 11))
	named := regexp.MustCompile(`containment-chamber slashing (init --key 0x[0-9a-f]{96})`).FindStringSubmatch(body)
	if status != http.StatusPreconditionFailed || named == nil {
		t.Fatalf("an unknown key: %d %s", status, body)
	}
	slashingDone(t, append(strings.Fields(named[1]), "--signer-url", url)...)
	if status, body := call(t, client, http.MethodPost, sign, vote(0, 0)); status != http.StatusPreconditionFailed {
		t.Errorf("target 0: %d %s", status, body)
	}
	if status, body := call(t, client, http.MethodPost, sign, vote(10, 11)); status != http.StatusOK {
		t.Errorf("a known key: %d %s", status, body)
	}
}

// TestFrozenKeysMove: a high watermark keeps the old signer from signing above it, its export has all that it ever signed, and the new
// one goes on from there.
func TestFrozenKeysMove(t *testing.T) {
	_, client, _, old := startServed(t)
	path := "/api/v1/eth2/sign/" + interopPublic
	slashingDone(t, "high-watermark", "--epoch", "12", "--slot", "416", "--signer-url", old)
	for _, c := range []struct{ target, status int }{{11, 200}, {12, 200}, {13, 412}, {12, 200}} {
		if status, body := call(t, client, http.MethodPost, old+path, vote(c.target-1, c.target)); status != c.status {
			t.Errorf("target %d: %d %s, want %d", c.target, status, body, c.status)
		}
	}
	if status, body := call(t, client, http.MethodGet, old+"/api/v1/eth2/highWatermark", ""); status != 200 || strings.TrimSpace(body) != `{"epoch":"12","slot":"416"}` {
		t.Errorf("high watermark: %d %s", status, body)
	}
	file := filepath.Join(t.TempDir(), "history.json")
	slashingDone(t, "export", file, "--signer-url", old)

	_, client, _, fresh := startServed(t)
	slashingDone(t, "import", file, "--signer-url", fresh)
	for _, c := range []struct{ target, status int }{{12, 200}, {13, 200}} {
		if status, body := call(t, client, http.MethodPost, fresh+path, vote(c.target-1, c.target)); status != c.status {
			t.Errorf("target %d at the new signer: %d %s, want %d", c.target, status, body, c.status)
		}
	}
	slashingDone(t, "high-watermark", "--remove", "--signer-url", old)
	if status, body := call(t, client, http.MethodGet, old+"/api/v1/eth2/highWatermark", ""); status != 200 || strings.TrimSpace(body) != "{}" {
		t.Errorf("after its end: %d %s", status, body)
	}
}

// TestASignerThatDoesNotServeOperators says nothing of the record, and the command says why.
func TestASignerThatDoesNotServeOperators(t *testing.T) {
	config, url, _ := standard(t, "")
	p := start(t, "containment-chamber", "server", "-c", config)
	awaitReady(t, newClient(t), url, p)
	file := interchangeOf(t, interopPublic, 1, 2, 3)
	for _, args := range [][]string{{"status"}, {"export"}, {"import", file}, {"raise", "--slot", "1"}, {"init", "--key", interopPublic}, {"high-watermark", "--remove"}} {
		code, stdout, stderr := slashingCommand(t, append(args, "--signer-url", url)...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, "anti_slashing.api") {
			t.Errorf("%q: exit code %d, %s%s", args, code, stdout, stderr)
		}
	}
}
