package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSecretKeys: a key that is new here is judged by whoever adds it.
func TestSecretKeys(t *testing.T) {
	var secret []string
	for _, k := range Keys() {
		if k.Secret() {
			secret = append(secret, k.Name)
		}
		for _, f := range k.Fields {
			if f.Secret() {
				t.Errorf("%s.%s: entries are shown whole", k.Name, f.Name)
			}
		}
	}
	want := []string{
		"chamber.setup_token_sha256", "anti_slashing.sealed_password", "anti_slashing.dynamodb.sealed_access_key", "signing.canary_keys",
	}
	if diff := cmp.Diff(want, secret); diff != "" {
		t.Error(diff)
	}
}

func TestEffective(t *testing.T) {
	const (
		password = "hunter2-in-the-url"
		query    = "hunter3-in-the-query"
		setup    = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
		canary   = "0x93247f2209abcacf57b75a51dafae777f9dd38bc7053d1af526f220a7489a6d3a2753e5f3e8b1cfe39b56f43611df74a"
	)
	c, err := LoadBytes([]byte(`{network: hoodi, log: {level: debug}, signing: {canary_keys: ["` + canary + `"]},
anti_slashing: {backend: postgres, url: "postgres://signer:` + password + `@db.internal:5432/slashing?sslmode=verify-full&password=` + query + `"},
signer_state: {backend: sqlite, path: ./state.sqlite},
chamber: {kms_key_arns: ["arn:aws:kms:eu-central-1:111122223333:key/0f3cbd2e-9d1c-4d3a-8b43-6f2f3f7a1c55"], setup_token_sha256: ` + setup + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	text := c.Effective()
	for _, line := range []string{
		"network: \"hoodi\"\n", "log.level: \"debug\"\n", "log.buffer_lines: 10000  # default\n", "tee.egress: []  # default\n",
		"anti_slashing.url: \"postgres://signer@db.internal:5432/slashing?sslmode=verify-full\"\n",
		"chamber.setup_token_sha256: (left out)\n", "signing.canary_keys: (left out)\n", "anti_slashing.sealed_password: \"\"  # default\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
	for _, secret := range []string{password, query, setup, canary[2:]} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in\n%s", secret, text)
		}
	}
	if lines := strings.Count(text, "\n"); lines != len(Keys()) {
		t.Errorf("%d lines, want one for each of %d keys", lines, len(Keys()))
	}
}
