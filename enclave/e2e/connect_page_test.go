package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
)

// TestConnectPage runs every command of docs/connect.md in its order, against a simulated enclave.
func TestConnectPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/connect.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SIGNER_TOKEN", connectToken)
	c := startConnected(t, "")
	if code := c.proxy.terminate(); code != 0 { // the page has its own
		t.Errorf("proxy: exit code %d", code)
	}
	commands := commandsOf(string(page))
	if len(commands) != 3 || !strings.HasPrefix(commands[0], "containment-chamber connect ") {
		t.Fatalf("the page has the commands %q", commands)
	}
	words := strings.Fields(strings.NewReplacer("https://signer.example:9443", c.api, "policy.yaml", filepath.Join(c.dir, "policy.json")).Replace(commands[0]))
	listen := []string{"--listen", strings.TrimPrefix(c.url, "http://"), "--health-listen", strings.TrimPrefix(c.own, "http://")}
	c.proxy = start(t, words[0], slices.Concat(words[1:], listen, []string{"--attestation-root", software.RootFile(filepath.Join(c.dir, "nsm"))})...)
	c.await(func() bool { return c.ready()["ready"] == true })
	for i, want := range []string{interopPublic, `"ready":true`} {
		command := strings.NewReplacer("http://127.0.0.1:9000", c.url, "http://127.0.0.1:9010", c.own).Replace(commands[i+1])
		out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
	_, metrics := call(t, c.client, http.MethodGet, c.own+"/metrics", "")
	for _, name := range regexp.MustCompile(`(?m)^# HELP (containment_connect_\S+)`).FindAllStringSubmatch(metrics, -1) {
		if !strings.Contains(string(page), "`"+name[1]+"`") {
			t.Errorf("docs/connect.md does not know %s", name[1])
		}
	}
	if !strings.Contains(metrics, "containment_connect_signer_up 1") {
		t.Errorf("metrics:\n%s", metrics)
	}
}
