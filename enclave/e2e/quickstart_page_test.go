package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// TestQuickstartPage does what docs/quickstart.md says, block by block in its order: files are written, servers stay up, everything else
// must succeed. Only the ports are others.
func TestQuickstartPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page2, found := strings.Cut(string(page), "## A signer alone")
	alone, split, foundToo := strings.Cut(page2, "## The split by hand")
	if !found || !foundToo {
		t.Fatal("the page has other parts")
	}
	n := &newcomer{t: t, dir: shortDir(t)}
	if err := os.Symlink(binaries, filepath.Join(n.dir, "build")); err != nil {
		t.Fatal(err)
	}
	n.choosePorts()
	n.follow(alone)
	if !strings.Contains(n.output, n.public) || !strings.Contains(n.output, `{"signature":"0x`) {
		t.Errorf("no signature:\n%s", n.output)
	}
	n.end()
	n.choosePorts()
	n.output = ""
	n.follow(split)
	if !strings.Contains(n.output, n.public) {
		t.Errorf("no key through attested TLS:\n%s", n.output)
	}
}

// newcomer reads the page and does what it says.
type newcomer struct {
	t       *testing.T
	dir     string
	ports   []int // of health or API, TLS, metrics, the parent's own, connect, connect's own
	running []*process
	public  string // the reader's key
	output  string // of all commands that ended
}

func (n *newcomer) choosePorts() { n.ports = freePorts(n.t, 6) }

// environment moves the listeners of both processes.
func (n *newcomer) environment() []string {
	return []string{
		fmt.Sprintf("CONTAINMENT_SERVER__LISTEN_PORT=%d", n.ports[0]), fmt.Sprintf("CONTAINMENT_TLS__LISTEN_PORT=%d", n.ports[1]),
		fmt.Sprintf("CONTAINMENT_METRICS__LISTEN_PORT=%d", n.ports[2]), fmt.Sprintf("CONTAINMENT_PARENT__HEALTH__LISTEN_PORT=%d", n.ports[3]),
	}
}

func (n *newcomer) moved(text string) string {
	at := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", n.ports[port]) }
	return strings.NewReplacer("127.0.0.1:9000", at(0), "127.0.0.1:9443", at(1), "127.0.0.1:9001", at(4)).Replace(text)
}

func (n *newcomer) follow(part string) {
	n.t.Helper()
	for _, block := range regexp.MustCompile("(?s)```(yaml|sh)\n(.*?)```").FindAllStringSubmatch(part, -1) {
		if block[1] == "yaml" {
			n.write(block[2])
			continue
		}
		for _, command := range wholeCommands(block[2]) {
			n.run(n.moved(command))
		}
	}
}

// wholeCommands are the commands of a block; one goes on where a quote is open.
func wholeCommands(block string) (commands []string) {
	command := ""
	for line := range strings.Lines(block) {
		command += line
		if strings.Count(command, "'")%2 == 0 {
			commands, command = append(commands, strings.TrimSpace(command)), ""
		}
	}
	return commands
}

// write puts a block into the file that its first line names, and beside a descriptor the keystore that it speaks of.
func (n *newcomer) write(block string) {
	n.t.Helper()
	first, _, _ := strings.Cut(block, "\n")
	name, ok := strings.CutPrefix(first, "# ")
	if !ok {
		n.t.Fatalf("a block without a file's name:\n%s", block)
	}
	writeFile(n.t, filepath.Join(n.dir, name), block)
	if strings.Contains(block, "keystoreFile: validator.json") {
		n.bringKeystore()
	}
}

// bringKeystore makes the key that a reader has.
func (n *newcomer) bringKeystore() {
	n.t.Helper()
	made := n.t.TempDir()
	public, err := rig.MakeKeystore(made)
	if err != nil {
		n.t.Fatal(err)
	}
	n.public = public
	for _, kind := range []string{"json", "password"} {
		files, err := filepath.Glob(filepath.Join(made, "*."+kind))
		if err != nil || len(files) != 1 {
			n.t.Fatal(files, err)
		}
		if err := os.Rename(files[0], filepath.Join(n.dir, "keystores", "validator."+kind)); err != nil {
			n.t.Fatal(err)
		}
	}
}

func (n *newcomer) run(command string) {
	n.t.Helper()
	if command == "make build" { // the test has built what the Makefile builds
		return
	}
	words := strings.Fields(command)
	name := strings.TrimPrefix(words[0], "build/")
	switch {
	case len(words) > 1 && words[1] == "server":
		p := startIn(n.t, n.dir, n.environment(), name, words[1:]...)
		awaitReady(n.t, newClient(n.t), fmt.Sprintf("http://127.0.0.1:%d", n.ports[0]), p)
		n.running = append(n.running, p)
	case len(words) > 1 && words[1] == "run":
		n.running = append(n.running, startIn(n.t, n.dir, n.environment(), name, words[1:]...))
	case len(words) > 1 && words[1] == "connect":
		own := fmt.Sprintf("127.0.0.1:%d", n.ports[5])
		p := startIn(n.t, n.dir, nil, name, append(words[1:], "--health-listen", own)...)
		awaitReady(n.t, newClient(n.t), "http://"+own, p)
		n.running = append(n.running, p)
	default:
		cmd := exec.CommandContext(n.t.Context(), "sh", "-c", n.withKey(command))
		cmd.Dir, cmd.Env = n.dir, environment(n.environment()...)
		out, err := cmd.CombinedOutput()
		n.output += string(out)
		if err != nil {
			n.t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
}

// withKey keeps the one variable that the page sets between two commands.
func (n *newcomer) withKey(command string) string {
	if strings.HasPrefix(command, "KEY=") {
		return command + ` && printf %s "$KEY" > key`
	}
	return strings.ReplaceAll(command, "$KEY", "$(cat key)")
}

func (n *newcomer) end() {
	n.t.Helper()
	for _, p := range n.running {
		if code := p.terminate(); code != 0 {
			n.t.Errorf("%s: exit code %d", p.name, code)
		}
	}
	n.running = nil
	if _, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/upcheck", n.ports[0])); err == nil {
		n.t.Error("the signer is still up")
	}
}
