package auth_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth/authtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

const (
	fileToken   = "a-token-of-a-file"
	envToken    = "a-token-of-the-environment"
	secretToken = "a-token-of-a-mounted-secret"
)

func environment(name string) (string, bool) {
	value, ok := map[string]string{"TOKEN": envToken, "SHORT": "short", "ODD": "a token with spaces in it"}[name]
	return value, ok
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// whole is a file with everything.
func whole(secret string) string {
	return fmt.Sprintf(`policies:
  - name: validators
    rules:
      - {effect: allow, scopes: [sign], keys: [%q]}
      - {effect: deny, operations: [BLOCK_V2]}
tokens:
  - {name: lighthouse, secret: 'env:TOKEN', policies: [validators]}
  - {name: operator, secret: 'sha256:%x', management: true}
  - {name: mounted, secret: 'file:%s', policies: [validators], expires: 2027-01-01T00:00:00Z}
`, mine.String(), sha256.Sum256([]byte(fileToken)), secret)
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path, secret := filepath.Join(dir, "policies.yaml"), filepath.Join(dir, "secret")
	writeFile(t, secret, secretToken+"\n")
	writeFile(t, path, whole(secret))
	f, err := auth.OpenFile(path, environment, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)
	p := authtest.New(auth.Options{File: f, Now: func() time.Time { return now }})
	for token, want := range map[string]string{
		envToken: "token (lighthouse)", fileToken: "management token (operator)", secretToken: "token (mounted)", "": "nobody",
		"another-token-of-somebody": "unknown", fileToken + "x": "unknown", fileToken[1:]: "unknown", fmt.Sprintf("%x", sha256.Sum256([]byte(fileToken))): "unknown",
	} {
		if got := p.Identify(auth.Credential{Token: token}).String(); got != want {
			t.Errorf("%q is %s, want %s", token, got, want)
		}
	}
	lighthouse := p.Identify(auth.Credential{Token: envToken})
	if lighthouse.MayFor(auth.PublicKeys, mine) != nil || lighthouse.MayFor(auth.PublicKeys, other) == nil || lighthouse.Manages() == nil {
		t.Error("its policy does not hold")
	}
	now = now.Add(time.Second)
	if c := p.Identify(auth.Credential{Token: secretToken}); problem.Of(c.Refused()).Kind != problem.Unauthenticated {
		t.Errorf("after its end: %v", c)
	}
}

func TestFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "policies.yaml")
	const policy = "policies: [{name: p, rules: [{effect: allow}]}]\n"
	for text, want := range map[string]string{
		"policy: []\n": "field policy not found",
		"":             "there is nothing in it",
		policy + "tokens: [{name: t, secret: 'env:TOKEN', policies: [p], expires: }]\n":                                     "there is no value",
		policy + "tokens: [{name: t, secret: 'env:TOKEN', policies: [p], expires: 1970-01-01T00:00:00Z}]\n":                 "expires: want a time",
		"policies: [{name: p, rules: [{effect: allow, key: [x]}]}]\n":                                                       `unknown field "key" of a rule`,
		"policies: [{name: p, rules: [{effect: allow, keys: }]}]\n":                                                         "there is no value",
		"policies: [{name: p, rules: [{effect: allow, keys: []}]}]\n":                                                       "keys: is empty",
		"policies: [{name: p, rules: [{effect: allow, keys: [a], keys: [b]}]}]\n":                                           "already defined",
		"policies: [{name: p, rules: []}]\n":                                                                                "policy p: has 0 rules",
		policy + policy:                                                                                                     "already defined",
		policy + "---\n":                                                                                                    "want one YAML document",
		policy + "tokens: [{name: t, secret: hunter2hunter2hunter2, policies: [p]}]\n":                                      "tokens[0]: secret: want env:VARIABLE, file:PATH or sha256:DIGITS",
		policy + "tokens: [{name: t, secret: 'env:NONE', policies: [p]}]\n":                                                 "environment variable NONE is not set",
		policy + "tokens: [{name: t, secret: 'env:SHORT', policies: [p]}]\n":                                                "want a token of at least 16",
		policy + "tokens: [{name: t, secret: 'env:ODD', policies: [p]}]\n":                                                  "want a token of at least 16",
		policy + "tokens: [{name: t, secret: 'sha256:00', policies: [p]}]\n":                                                "64 hexadecimal digits",
		policy + "tokens: [{name: t, secret: 'file:" + dir + "/none', policies: [p]}]\n":                                    "no such file",
		policy + "tokens: [{name: t, secret: 'env:TOKEN'}]\n":                                                               "policies: has 0 names",
		policy + "tokens: [{name: t, secret: 'env:TOKEN', policies: [q]}]\n":                                                `there is no policy "q"`,
		policy + "tokens: [{name: t, secret: 'env:TOKEN', policies: [p], management: true}]\n":                              "a management token has none",
		policy + "tokens: [{name: t, secret: 'env:TOKEN', policies: [p]}, {name: u, secret: 'env:TOKEN', policies: [p]}]\n": "tokens[1]: has the secret of tokens[0]",
		policy + "certificates: [{name: c, policies: [p]}]\n":                                                               "want spki_sha256 or subject",
	} {
		writeFile(t, path, text)
		_, err := auth.OpenFile(path, environment, zap.NewNop())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "auth.policy_file: "+path+": ") {
			t.Errorf("%s%v, want %q", text, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), envToken)) {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
}

// TestFileIsFollowed: what is new is in force within the interval, also a secret in a file of its own; what is wrong changes nothing, and is said
// once.
func TestFileIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path, secret := filepath.Join(dir, "policies.yaml"), filepath.Join(dir, "secret")
		writeFile(t, secret, secretToken)
		writeFile(t, path, whole(secret))
		core, logs := observer.New(zapcore.InfoLevel)
		f, err := auth.OpenFile(path, environment, zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		p := authtest.New(auth.Options{File: f, Now: func() time.Time { return time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC) }})
		go f.Run(t.Context()) //nolint:errcheck // it has none
		known := func(what, token string, want bool) {
			t.Helper()
			<-time.After(6 * time.Second) // of the bubble's clock
			synctest.Wait()
			if got := p.Identify(auth.Credential{Token: token}).Refused() == nil; got != want {
				t.Errorf("%s: known %v, want %v", what, got, want)
			}
		}
		known("at first", secretToken, true)
		writeFile(t, secret, "another-token-in-its-place")
		known("the old one", secretToken, false)
		known("the new one", "another-token-in-its-place", true)
		writeFile(t, path, "policies: [")
		known("with a broken file", fileToken, true)
		known("and later", fileToken, true)
		writeFile(t, path, "tokens: []\n")
		known("taken out", fileToken, false)
		if n := logs.FilterMessageSnippet("auth.policy_file is wrong").Len(); n != 1 {
			t.Errorf("the broken file was told of %d times", n)
		}
		if n := logs.FilterMessage("policies and tokens read again").Len(); n != 2 {
			t.Errorf("%d changes were told, want 2", n)
		}
	})
}
