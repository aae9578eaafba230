package main

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
)

// serveTLS has a handler answer from now on over https, with HTTP/2, and returns the file of its authority.
func (s *chamberSigner) serveTLS(h http.Handler) (ca string) {
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.StartTLS()
	s.t.Cleanup(server.Close)
	s.url = server.URL
	ca = filepath.Join(s.t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return ca
}

// TestOperatorImportDecryptsHere: the same keys are stored as without, and neither keystores nor passwords leave this machine.
func TestOperatorImportDecryptsHere(t *testing.T) {
	const keys = 120
	dir, password := writeKeystores(t, keys, "pass word")
	var stored [2][]string
	for i, here := range []bool{false, true} {
		s := initializedSigner(t)
		inner := s.Handler
		ca := s.serveTLS(oneByOne(func(_ int, w http.ResponseWriter, r *http.Request) {
			body := sentKeystores(t, r)
			for n, text := range body.Keystores {
				if sent := strings.HasPrefix(body.Passwords[n], "pass word"); sent == here || here != strings.Contains(text, `"c": 1,`) {
					t.Errorf("--decrypt-here=%v sends password %q of %s", here, body.Passwords[n], text)
				}
			}
			inner.ServeHTTP(w, r)
		}, inner))
		args := []string{"import-keys", dir, "--password-file", password, "--signer-ca", ca}
		if here {
			args = append(args, "--decrypt-here")
		}
		s.does(args, "imported       120", "failed         0")
		for _, key := range s.allKeys() {
			stored[i] = append(stored[i], key.Status.String()+" "+string(key.PublicKey[:]))
		}
	}
	if diff := cmp.Diff(stored[0], stored[1]); diff != "" || len(stored[0]) != keys {
		t.Errorf("%d keys (-sent as they are +decrypted here):\n%s", len(stored[0]), diff)
	}
}

// TestOperatorImportDecryptsHereFailures: what cannot be opened is told by file and not sent; no key goes over http.
func TestOperatorImportDecryptsHereFailures(t *testing.T) {
	s := initializedSigner(t)
	dir, _ := writeKeystores(t, 4, "p")
	text, err := os.ReadFile(filepath.Join(dir, "keystore-000.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"keystore-000.txt": "p", "keystore-001.txt": "wrong", "keystore-002.txt": "\xff", "keystore-003.txt": "p\r\n",
		"other.json": strings.Replace(string(text), `"pubkey":"`, `"pubkey":"0x`+strings.Repeat("ab", 48)+`","was":"`, 1), "other.txt": "p",
		"zz.json": "no keystore", "zz.txt": "x",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.refuses([]string{"import-keys", dir, "--decrypt-here"}, exitUsage, "--decrypt-here: the keys would go over http")
	inner, sent := s.Handler, 0
	ca := s.serveTLS(oneByOne(func(_ int, w http.ResponseWriter, r *http.Request) {
		sent += len(sentKeystores(t, r).Keystores)
		inner.ServeHTTP(w, r)
	}, inner))
	code, out, errs := s.operator("import-keys", dir, "--decrypt-here", "--signer-ca", ca, "--output", "json")
	var got imported
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitFailure {
		t.Fatalf("exit code %d, %s %s: %v", code, out, errs, err)
	}
	told := map[string]string{}
	for _, r := range got.Results {
		told[filepath.Base(r.File)] = r.Status + " " + r.Message
	}
	for file, words := range map[string]string{
		"keystore-000.json": chamber.Imported + " ", "keystore-001.json": "error wrong password", "keystore-002.json": "error the keystore or its password is not UTF-8",
		"keystore-003.json": chamber.Imported + " ", "other.json": "error field pubkey names 0xabab", "zz.json": "error not valid JSON",
	} {
		if !strings.HasPrefix(told[file], words) {
			t.Errorf("%s: %q, want %q", file, told[file], words)
		}
	}
	if sent != 2 || got.Imported != 2 || len(got.Errors) != 4 || s.storedKeys() != 2 {
		t.Errorf("%d were sent, %d are stored: %+v", sent, s.storedKeys(), got)
	}
}
