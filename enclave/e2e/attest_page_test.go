package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/policyfile"
)

// TestAttestationPage runs every command of docs/attestation.md in its order, against a simulated enclave.
func TestAttestationPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/attestation.md")
	if err != nil {
		t.Fatal(err)
	}
	dir, ports := shortDir(t), freePorts(t, 4)
	if err := attestWorld(dir, ports); err != nil {
		t.Fatal(err)
	}
	for name, image := range map[string]string{"image.eif": "es384.eif", "new.eif": "unsigned.eif"} {
		text, err := os.ReadFile("../../shared/eif/testdata/" + image)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name), string(text))
	}
	p := &pageRun{t: t, dir: dir, api: fmt.Sprintf("https://127.0.0.1:%d", ports[2])}
	start(t, "containment-chamber-enclave-proxy", "run", "-c", p.configure())
	signer := start(t, "containment-chamber", "server", "-c", p.configure())
	awaitReady(t, newClient(t), fmt.Sprintf("http://127.0.0.1:%d", ports[0]), signer)

	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)
	if example == nil {
		t.Fatal("the page shows no policy")
	}
	if _, err := policyfile.Parse("the page's policy", example[1]); err != nil {
		t.Error(err)
	}
	commands := commandsOf(string(page))
	if len(commands) < 14 {
		t.Fatalf("the page has %d commands", len(commands))
	}
	for _, command := range commands {
		p.run(command)
	}
}

// commandsOf are the commands in the blocks of a page that are for a shell.
func commandsOf(page string) (commands []string) {
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(page, -1) {
		text := strings.ReplaceAll(block[1], "\\\n", " ")
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				commands = append(commands, line)
			}
		}
	}
	return commands
}

// pageRun is a reader of the page who does what it says.
type pageRun struct {
	t        *testing.T
	dir, api string
	nonce    string // of the last proof
}

// configure writes the configuration with whole paths: the processes run elsewhere than the commands.
func (p *pageRun) configure() string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "config.yaml"))
	if err != nil {
		p.t.Fatal(err)
	}
	whole := filepath.Join(p.dir, "whole.yaml")
	writeFile(p.t, whole, strings.NewReplacer("./", p.dir+"/").Replace(string(text)))
	return whole
}

// run does one command, with what a simulated enclave needs beside: its address and its root. A policy of an image allows no
// simulated enclave, and makes room for one of what runs.
func (p *pageRun) run(command string) {
	p.t.Helper()
	if strings.Contains(command, "signer.example") && !strings.Contains(command, " attest trust forget") || strings.Contains(command, " attest verify") {
		command = strings.Replace(command, "--policy", "--attestation-root nsm/root.pem --policy", 1)
		if !strings.Contains(command, "--attestation-root") && !strings.Contains(command, " -o document.cose") {
			command += " --attestation-root nsm/root.pem"
		}
	}
	command = strings.NewReplacer("https://signer.example:9443", p.api, "2026-03-01T12:00:00Z", time.Now().UTC().Format(time.RFC3339)).Replace(command)
	out := p.shell(command)
	if found := regexp.MustCompile(`with nonce ([0-9a-f]{64})`).FindStringSubmatch(out); found != nil {
		p.nonce = found[1]
	}
	if strings.HasSuffix(command, "> policy.yaml") {
		p.shell("containment-chamber attest policy --from-signer " + p.api + " --attestation-root nsm/root.pem --label 0.1.0 > policy.yaml")
	}
}

func (p *pageRun) shell(command string) string {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), "sh", "-c", command)
	cmd.Dir = p.dir
	cmd.Env = environment("PATH="+binaries+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+p.dir, "XDG_CONFIG_HOME=", "NONCE="+p.nonce, "OPERATOR_TOKEN="+operatorToken)
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Errorf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}
