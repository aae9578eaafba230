package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/chambertest"
	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
)

const (
	// ageRecipient is the one of the specification of age.
	ageRecipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
	// exampleKey is the public key of the pages.
	exampleKey = "0x93247f2209abcacf57b75a51dafae777f9dd38bc7053d1af526f220a7489a6d3a2753e5f3e8b1cfe39b56f43611df74a"
)

// pageCommands are the commands of a page, of one line each.
func pageCommands(t *testing.T, page string) (commands []string) {
	t.Helper()
	for block := range strings.SplitSeq(page, "```sh\n") {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", "")) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
			if strings.HasPrefix(line, "containment-chamber operator ") {
				commands = append(commands, line)
			}
		}
	}
	if len(commands) < 15 {
		t.Fatalf("%d commands: %v", len(commands), commands)
	}
	return commands
}

// TestOperatorPage runs every command of docs/operator.md in its order; only the names of what is outside of the signer are others.
func TestOperatorPage(t *testing.T) {
	text, err := os.ReadFile("../../../docs/operator.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	keystores, password := writeKeystores(t, 2, "p")
	next := configFile(t, configNoop)
	names := map[string]string{
		"keystores/": keystores, "password.txt": password, "next.yaml": next, "old.yaml": next,
		"new-keys/": filepath.Join(t.TempDir(), "new"), "support.tar.gz": filepath.Join(t.TempDir(), "support"),
		"keys.txt": filepath.Join(t.TempDir(), "keys"), "chamber.backup": filepath.Join(t.TempDir(), "backup"),
	}
	if err := os.WriteFile(names["keys.txt"], []byte(publicKeysOf(t, keystores)[0]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	arn := regexp.MustCompile(`arn:aws:kms:[^,]*:key/(\d)`)
	s, used := startInWorld(t, &chambertest.World{Recipients: []string{ageRecipient}}, nil), map[string]bool{}
	for _, line := range pageCommands(t, page) {
		var args []string
		for _, arg := range strings.Fields(line)[1:] {
			switch name := names[arg]; {
			case name != "":
				args = append(args, name)
			case arg == "$AT":
				args = append(args, "--signer-url", s.url, "--allow-plaintext-signer")
			case arg == "0f3cbd2e9d1c4d3a":
				args = append(args, s.Chamber.Status().RootTokens[1].ID)
			default:
				args = append(args, arn.ReplaceAllStringFunc(arg, func(found string) string { return chambertest.ARN(int(found[len(found)-1] - '0')) }))
			}
		}
		verb := args[1]
		if verb == "rotate" {
			verb += " " + args[2]
		}
		used[verb] = true
		if verb == "restore" { // elsewhere
			kms := &s.world.KMS
			s = startChamberSigner(t, func(o *chamber.Options, _ *routes.Options) { o.KMS = kms })
			args[3] = s.url
		}
		code, out, errs := command(t, args...)
		if code != exitOK {
			t.Fatalf("%s\nexit code %d, %s%s", line, code, out, errs)
		}
		if verb == "generate-keys" {
			names[exampleKey], _, _ = strings.Cut(readText(t, written(t, names["new-keys/"], "public_keys-*.txt")[0]), " ")
		}
		if verb == "init" {
			_, token, _ := strings.Cut(out, chamber.RootTokenPrefix)
			token, _, _ = strings.Cut(token, "\n")
			t.Setenv("ROOT_TOKEN", chamber.RootTokenPrefix+token)
		}
	}
	for _, cmd := range newOperatorCommand().Commands() {
		if cmd.Name() != "rotate" && !used[cmd.Name()] {
			t.Errorf("the page does not show %s", cmd.Name())
		}
	}
	for _, cmd := range newOperatorRotate().Commands() {
		if !used["rotate "+cmd.Name()] {
			t.Errorf("the page does not show rotate %s", cmd.Name())
		}
	}
	if status := s.Chamber.Status(); status.State != chamber.Unsealed || s.storedKeys() != 2 { // one imported, one made
		t.Errorf("restored: %v, %d keys", status.State, s.storedKeys())
	}
	if lines := strings.Count(page, "\n"); lines > 160 {
		t.Errorf("the page has %d lines", lines)
	}
}
