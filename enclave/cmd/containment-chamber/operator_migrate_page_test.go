package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// ourCommands are the commands of a page that are this program's, of one line each.
func ourCommands(t *testing.T, page string) (commands []string) {
	t.Helper()
	for i, block := range strings.Split(page, "```sh\n") {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(block) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
			if i > 0 && strings.HasPrefix(line, "containment-chamber ") {
				commands = append(commands, line)
			}
		}
	}
	if len(commands) < 11 {
		t.Fatalf("%d commands: %v", len(commands), commands)
	}
	return commands
}

// TestMigratePage runs every command of docs/migrate.md that is ours, in its order, between two signers.
func TestMigratePage(t *testing.T) {
	text, err := os.ReadFile("../../../docs/migrate.md")
	if err != nil {
		t.Fatal(err)
	}
	dir, binary := t.TempDir(), buildServer(t)
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	_, first := rawKey(t, 1)
	_, second := rawKey(t, 2)
	old := startServer(t, binary, 1, 2)
	signer := newServer(t, binary, 1, 2)
	keystores, password := writeKeystores(t, 1, "p")
	chamber := initializedSigner(t)
	names := map[string]string{
		"keys.txt": file("keys.txt", first+"\n"+second+"\n"), "passed.txt": filepath.Join(dir, "passed.txt"), "back.json": filepath.Join(dir, "back.json"),
		"history.json": file("history.json", fmt.Sprintf(`{"metadata":{"interchange_format_version":"5","genesis_validators_root":"0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"},
"data":[{"pubkey":%q,"signed_blocks":[],"signed_attestations":[{"source_epoch":"10","target_epoch":"11"}]}]}`, first)),
		"config.yaml": signer.config, "keystores/": keystores, "password.txt": password,
	}
	for _, line := range ourCommands(t, string(text)) {
		words := strings.Fields(line)[1:]
		address := signer.url
		if words[1] == "import-keys" {
			address = chamber.url
		}
		if words[0] == "slashing" {
			signer.stop()
		} else {
			signer.run()
		}
		var args []string
		for _, word := range words {
			switch name := names[word]; {
			case name != "":
				args = append(args, name)
			case word == "$NEW":
				args = append(args, "--signer-url", address, "--allow-plaintext-signer")
			case word == "$OLD":
				args = append(args, "--old", old, "--allow-plaintext-old")
			default:
				args = append(args, word)
			}
		}
		if code, out, errs := command(t, args...); code != exitOK {
			t.Fatalf("%s\nexit code %d, %s%s", line, code, out, errs)
		}
	}
	back, err := os.ReadFile(names["back.json"])
	if err != nil || strings.Count(string(back), `"pubkey"`) != 2 {
		t.Errorf("%s %v", back, err)
	}
	// The records were raised to now: this is the first vote that either key signs.
	signer.run()
	for _, key := range []string{first, second} {
		now := rig.CurrentEpoch()
		if status, body := askSigner(t, signer.url+routeSign+key, rig.Vote(now, now+1)); status != http.StatusPreconditionFailed {
			t.Errorf("a vote at the raised height: status %d, %s", status, body)
		}
	}
}
