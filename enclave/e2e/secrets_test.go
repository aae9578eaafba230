package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
)

// What the tests know and no process may say: tokens by their form, and secrets by their text. A setup token is logged once, on purpose, by a
// signer that nobody gave another.
var (
	tokens     = regexp.MustCompile(`cc-(root|client|setup)-[0-9A-Za-z-]*[A-Z2-7]{40,}`)
	setupToken = regexp.MustCompile(`"Setup token generated [^\n]*`)
)

// keepSecrets is that of every signer and parent of these tests: whatever they are asked, none of it is in what they write.
func keepSecrets(t *testing.T, name, output string) {
	t.Helper()
	rest := setupToken.ReplaceAllString(output, "")
	if found := tokens.FindString(rest); found != "" {
		t.Errorf("%s has written a token: %s", name, found)
	}
	for what, secret := range map[string]string{"a validator key": interopSecret, "an agent's token": agentSecret, "an AWS secret": chamberSecret, "the operator's token": operatorToken} {
		raw := []byte(secret)
		if b, err := hex.DecodeString(secret); err == nil {
			raw = b
		}
		for _, form := range []string{secret, strings.ToUpper(secret), string(raw), hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw)} {
			if strings.Contains(rest, form) {
				t.Errorf("%s has written %s", name, what)
				break
			}
		}
	}
}

func TestKeepSecretsFinds(t *testing.T) {
	key, _ := hex.DecodeString(interopSecret)
	for _, leak := range []string{
		`{"msg":"x","token":"cc-client-0123456789abcdef-` + strings.Repeat("A2", 26) + `"}`, "Bearer cc-root-" + strings.Repeat("Q7", 26),
		`{"msg":"other","setup_token":"cc-setup-20261122T000000Z-` + strings.Repeat("Q7", 26) + `"}`, interopSecret, "key " + base64.StdEncoding.EncodeToString(key), operatorToken,
	} {
		probe := &testing.T{}
		keepSecrets(probe, "a process", "before\n"+leak+"\nafter")
		if !probe.Failed() {
			t.Errorf("it does not see %q", leak)
		}
	}
	keepSecrets(t, "a process", `{"level":"warn","msg":"Setup token generated (save securely, one-time use)","setup_token":"cc-setup-20261122T000000Z-`+strings.Repeat("Q7", 26)+`"}`+"\n")
}
