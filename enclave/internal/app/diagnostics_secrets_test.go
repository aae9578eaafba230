package app

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
)

// TestSupportBundleHoldsNoSecret of a signer that was given one of each kind.
func TestSupportBundleHoldsNoSecret(t *testing.T) {
	const (
		urlPassword = "kRt7WpQz-of-the-URL"
		setupDigest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
		passphrase  = "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑" // of the test vectors of EIP-2335, as is the next
		storedKey   = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
	)
	s, a := openAlone(t, startVault(t).configuration(), openFile)
	a.initialize()
	var setup string
	for _, l := range a.lines.with("Setup token generated (save securely, one-time use)") {
		setup = fmt.Sprint(l["setup_token"])
	}
	keystore, err := os.ReadFile("../keystore/filesystem/testdata/eip2335-pbkdf2.json")
	if err != nil {
		t.Fatal(err)
	}
	status, answer := a.order(a.root, "/api/v1/chamber/keys", encodeJSON(t, map[string]any{"keystores": []string{string(keystore)}, "passwords": []string{passphrase}}))
	if status != http.StatusOK || !strings.Contains(answer, `"imported"`) {
		t.Fatalf("%d %s", status, answer)
	}
	if status, body := a.sign(publicKey, 1); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	a.token = opsToken
	if status, _, body := a.ask(http.MethodGet, a.main+"/api/v1/operator/status", "", ""); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	a.token = ""
	if status, _ := a.order("cc-client-0123456789abcdef-"+strings.Repeat("Q7", 26), "/api/v1/chamber/operator/seal", ""); status != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d", status)
	}
	// Errors are written by others, who do not know of our rules.
	url := "postgres://signer:" + urlPassword + "@db.internal:5432/slashing"
	s.log.Error("an error of a library", zap.Error(fmt.Errorf("connect to %s?password=%s: refused", url, urlPassword)))
	other := *s.signer // told that it has a database
	if other.cfg, err = config.LoadBytes([]byte(`{network: hoodi, anti_slashing: {backend: postgres, url: "` + url + `"},
signer_state: {backend: sqlite, path: x}, chamber: {kms_key_arns: ["` + kmsKey + `"], setup_token_sha256: ` + setupDigest + `}}`)); err != nil {
		t.Fatal(err)
	}
	s.mux = newRoutes()
	other.serveDiagnostics(s.mux)
	archive, files := s.bundle()
	if !strings.Contains(files["log.jsonl"], "an error of a library") || !strings.Contains(files["log.jsonl"], `"setup_token":"cc-setup-[left out]"`) ||
		!strings.Contains(files["configuration.txt"], "db.internal:5432") || !strings.Contains(files["status.json"], `"filesystem": 1`) {
		t.Errorf("the bundle is not of this signer:\n%s%s", files["log.jsonl"], files["configuration.txt"])
	}
	for name, secret := range map[string]string{
		"key in a file": secretKey, "imported key": storedKey, "password of a keystore": passphrase, "setup token": setup, "root token": a.root, "token of a file": opsToken,
		"a wrong token": strings.Repeat("Q7", 26), "password in a URL": urlPassword, "hash of the setup token": setupDigest, "secret of AWS": "hush",
	} {
		if secret == "" {
			t.Errorf("%s: there is none", name)
			continue
		}
		for how, form := range forms(secret) {
			if bytes.Contains(archive, form) {
				t.Errorf("%s is in it, %s: %q", name, how, form)
			}
		}
	}
	for _, public := range []string{publicKey[2:10], kmsKey} { // so that the search is known to find
		if !bytes.Contains(archive, []byte(public)) {
			t.Errorf("%s is not in it", public)
		}
	}
}

// forms are the ways in which a secret could have been written.
func forms(secret string) map[string][]byte {
	raw := map[string][]byte{"as text": []byte(secret)}
	if b, err := hex.DecodeString(secret); err == nil {
		raw["as bytes"] = b
	}
	all := map[string][]byte{}
	for how, b := range raw {
		all[how] = b
		all[how+" in hexadecimal digits"] = []byte(hex.EncodeToString(b))
		all[how+" in large hexadecimal digits"] = bytes.ToUpper([]byte(hex.EncodeToString(b)))
		all[how+" in base64"] = []byte(base64.RawStdEncoding.EncodeToString(b))
		all[how+" in base64 for URLs"] = []byte(base64.RawURLEncoding.EncodeToString(b))
		all[how+" in decimal numbers"] = []byte(strings.Trim(fmt.Sprintf("%d", b), "[]"))
	}
	return all
}
