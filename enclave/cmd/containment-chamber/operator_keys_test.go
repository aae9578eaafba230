package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
)

// publicKeysOf are those that keystores say they are of.
func publicKeysOf(t *testing.T, dir string) (keys []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var k struct{ Pubkey string }
		if err := json.Unmarshal(text, &k); err != nil || k.Pubkey == "" {
			t.Fatalf("%s: %v", file, err)
		}
		keys = append(keys, "0x"+strings.TrimPrefix(k.Pubkey, "0x"))
	}
	return keys
}

func TestOperatorChangesKeys(t *testing.T) {
	s := initializedSigner(t)
	dir, password := writeKeystores(t, keysAtOnce+5, "p")
	s.does([]string{"import-keys", dir, "--password-file", password})
	keys := publicKeysOf(t, dir)
	file := filepath.Join(t.TempDir(), "keys")
	write := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	signing := func(want int) {
		t.Helper()
		if err := s.Stored.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.Stored.Status().Keys; got != want {
			t.Errorf("%d keys sign, want %d", got, want)
		}
	}
	signing(keysAtOnce + 5)
	write(keys...)
	s.does([]string{"deactivate-keys", "--pubkeys", file}, "done        105", "failed      0")
	signing(0)
	write(keys[:3]...)
	s.does([]string{"activate-keys", "--pubkeys", file, "--yes"}, "done        3")
	signing(3)
	s.does([]string{"delete-keys", "--pubkeys", file, "--yes"}, "done        3")
	signing(0)

	write(keys[2], keys[3])
	code, out, errs := s.operator("activate-keys", "--pubkeys", file, "--yes", "--output", "json")
	var got changedKeys
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitFailure || !strings.Contains(errs, "1 keys were not changed, or do not sign here as they are stored now") {
		t.Fatalf("exit code %d, %s %s: %v", code, out, errs, err)
	}
	if diff := cmp.Diff(changedKeys{Done: 1, NotFound: keys[2:3], Errors: []chamber.KeyResult{}}, got); diff != "" {
		t.Error(diff)
	}
	s.refuses([]string{"delete-keys", "--pubkeys", file}, exitUsage, "--yes is needed")
	s.refuses([]string{"activate-keys", "--pubkeys", file}, exitUsage, "--yes is needed")
	s.refuses([]string{"deactivate-keys"}, exitUsage, "--pubkeys is needed")
	write("0x12")
	s.refuses([]string{"deactivate-keys", "--pubkeys", file}, exitUsage, "--pubkeys "+file+": ")
	signing(1)
}
