package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	routes "github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
)

// TestOperatorPoliciesAndTokens works both with the commands, as an operator does.
func TestOperatorPoliciesAndTokens(t *testing.T) {
	s := initializedSigner(t)
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte("# ours\n"+publicKey(1)+"\n"+publicKey(2)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.does([]string{"policy", "create", "validators", "--scopes", "sign,list_keys", "--pubkeys", keys}, "validators  allow sign, list_keys, with 2 keys")
	s.does([]string{"policy", "create", "exits", "--operations", "VOLUNTARY_EXIT"}, "exits  allow sign, public_keys, operations VOLUNTARY_EXIT")
	listed := s.does([]string{"policy", "list"}, "exits", "validators")
	if strings.Index(listed, "exits") > strings.Index(listed, "validators") {
		t.Errorf("not in their order: %s", listed)
	}
	rules := filepath.Join(t.TempDir(), "rules.json")
	if err := os.WriteFile(rules, []byte(`[{"effect":"allow"},{"effect":"deny","operations":["BLOCK_V2"]}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.does([]string{"policy", "create", "exits", "--rules", rules, "--replace"}, "exits  deny everything, operations BLOCK_V2")

	var made, rotated routes.ClientToken
	read := func(out string, into *routes.ClientToken) {
		t.Helper()
		if err := json.Unmarshal([]byte(out), into); err != nil || !strings.HasPrefix(into.Secret, auth.ClientPrefix) {
			t.Fatalf("%s: %v", out, err)
		}
	}
	read(s.does([]string{"token", "create", "lighthouse", "--policies", "validators,exits", "--lifetime", "720h", "--output", "json"}), &made)
	s.does([]string{"token", "create", "teku", "--policies", "validators", "--spki-sha256", strings.Repeat("ab", 32)}, "name      teku")
	read(s.does([]string{"token", "rotate", made.ID, "--overlap", "1h", "--output", "json"}), &rotated)
	if rotated.ID != made.ID || rotated.Secret == made.Secret {
		t.Errorf("%+v of %+v", rotated, made)
	}
	out := s.does([]string{"token", "list"}, made.ID, "lighthouse, policies validators, exits, until 20", "the secret before until 20", "certificate of key abab", "not used here")
	if strings.Contains(out, made.Secret) || strings.Contains(out, rotated.Secret) {
		t.Errorf("a secret is listed: %s", out)
	}
	s.does([]string{"token", "revoke", made.ID, "--yes"}, "token "+made.ID+" revoked")
	s.does([]string{"policy", "delete", "exits"}, "policy exits deleted")
	s.does([]string{"policy", "reset", "--yes"}, "dropped")
	for _, test := range []struct {
		code  int
		words string
		args  string
	}{
		{1, "there is no such token", "token revoke 0123456789abcdef --yes"},
		{1, "there is no such policy", "policy delete validators"},
		{2, "--yes is needed", "policy reset"},
		{2, "--yes is needed", "token revoke 0123456789abcdef"},
		{2, "--policies is needed", "token create x"},
		{2, "--lifetime: want whole seconds", "token create x --policies p --lifetime -1s"},
		{2, `"sing" is no scope`, "policy create p --scopes sing"},
		{2, "--rules goes without", "policy create p --rules " + rules + " --scopes sign"},
		{2, "--rules: open none", "policy create p --rules none"},
		{2, "--ca-file", "token create x --policies p --subject CN=x --ca-file none"},
		{2, "name", "policy create ../p"},
	} {
		s.refuses(strings.Fields(test.args), test.code, test.words)
	}
	s.does([]string{"policy", "create", "p"})
	s.refuses([]string{"policy", "create", "p"}, 1, "there is a policy p already")
}
