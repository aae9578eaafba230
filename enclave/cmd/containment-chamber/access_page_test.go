package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
)

// accessPage is docs/access.md.
func accessPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines >= 200 {
		t.Errorf("the page has %d lines", lines)
	}
	return string(text)
}

// TestAccessPageNamesEveryScope: a scope that is not in the table can be given to nobody who reads it.
func TestAccessPageNamesEveryScope(t *testing.T) {
	page := accessPage(t)
	for _, s := range auth.Scopes() {
		if !regexp.MustCompile("(?m)^\\| .*`" + string(s) + "`.* \\| ").MatchString(page) {
			t.Errorf("docs/access.md does not say what %s allows", s)
		}
	}
}

// TestAccessPageFile has a signer read the policy file of the page.
func TestAccessPageFile(t *testing.T) {
	found := regexp.MustCompile("(?s)```yaml\n# policies.yaml\n(.*?)```").FindStringSubmatch(accessPage(t))
	if found == nil {
		t.Fatal("the page has no policies.yaml")
	}
	certificates := regexp.MustCompile("(?s)```yaml\ncertificates:\n(.*?)```").FindString(accessPage(t))
	certificates = strings.TrimSuffix(strings.TrimPrefix(certificates, "```yaml\n"), "```")
	t.Chdir(t.TempDir())
	for i, name := range []string{"teku", "monitoring", "operator"} {
		if err := os.WriteFile(name+".token", []byte(strings.Repeat(fmt.Sprint(i), 64)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("policies.yaml", []byte(found[1]+certificates), 0o600); err != nil {
		t.Fatal(err)
	}
	lookup := func(name string) (string, bool) { return strings.Repeat("l", 64), name == "LIGHTHOUSE_TOKEN" }
	if _, err := auth.OpenFile("policies.yaml", lookup, zap.NewNop()); err != nil {
		t.Error(err)
	}
}

// TestAccessPageCommands runs every command of docs/access.md that is for a chamber, in its order.
func TestAccessPageCommands(t *testing.T) {
	page := accessPage(t)
	s := initializedSigner(t)
	dir := t.TempDir()
	names := map[string]string{"keys.txt": filepath.Join(dir, "keys"), "exits.json": filepath.Join(dir, "exits")}
	rules := regexp.MustCompile(`--rules exits\.json +# (\[.*\])`).FindStringSubmatch(page)
	if rules == nil {
		t.Fatal("the page does not show exits.json")
	}
	for name, text := range map[string]string{"keys.txt": "0x" + strings.Repeat("ab", 48) + "\n", "exits.json": rules[1]} {
		if err := os.WriteFile(names[name], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	last := "" // id of a token
	shown := regexp.MustCompile("(?m)(?:^|`)(containment-chamber operator [^`#\n]*\\$AT[^`#\n]*)").FindAllStringSubmatch(page, -1)
	used := map[string]bool{}
	// What drops everything stands in the middle of the page, and is run last.
	var order, end []string
	for _, m := range shown {
		if strings.Contains(m[1], " reset ") {
			end = append(end, m[1])
		} else {
			order = append(order, m[1])
		}
	}
	for _, line := range append(order, end...) {
		var args []string
		for _, arg := range strings.Fields(line)[1:] {
			switch {
			case arg == "$AT":
				args = append(args, "--signer-url", s.url, "--allow-plaintext-signer")
			case arg == "ID":
				args = append(args, last)
			case names[arg] != "":
				args = append(args, names[arg])
			default:
				args = append(args, arg)
			}
		}
		code, out, errs := command(t, args...)
		if code != exitOK {
			t.Fatalf("%s\nexit code %d, %s%s", line, code, out, errs)
		}
		if m := regexp.MustCompile(`(?m)^id +([0-9a-f]{16})$`).FindStringSubmatch(out); m != nil {
			last = m[1]
		}
		used[args[1]+" "+args[2]] = true
	}
	for _, cmd := range append(newOperatorPolicy().Commands(), newOperatorToken().Commands()...) {
		if !used[cmd.Parent().Name()+" "+cmd.Name()] {
			t.Errorf("the page does not show operator %s %s", cmd.Parent().Name(), cmd.Name())
		}
	}
	if left, err := s.Policies.Tokens(); err != nil || len(left) != 0 {
		t.Errorf("after the reset: %v, %v", left, err)
	}
}
