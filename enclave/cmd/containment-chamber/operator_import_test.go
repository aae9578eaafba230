package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	keystorev4 "github.com/wealdtech/go-eth2-wallet-encryptor-keystorev4"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/chambertest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	internal "github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// cutAfter breaks the connection when a request has been carried out.
func cutAfter(h http.Handler) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&deaf{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	})
}

type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header       { return d.header }
func (*deaf) Write(b []byte) (int, error) { return len(b), nil }
func (*deaf) WriteHeader(int)             {}

// writeKeystores writes n keystores with one password, and a file of it.
func writeKeystores(t *testing.T, n int, password string) (dir, passwordFile string) {
	t.Helper()
	dir, passwordFile = t.TempDir(), filepath.Join(t.TempDir(), "password")
	encryptor := keystorev4.New(keystorev4.WithCipher("pbkdf2"), keystorev4.WithCost(t, 2))
	for i := range n {
		key, err := bls.SecretKeyFromSeed(fmt.Appendf(nil, "%032d", i))
		if err != nil {
			t.Fatal(err)
		}
		var crypto map[string]any
		if err := key.Use(func(b []byte) (err error) { crypto, err = encryptor.Encrypt(b, password); return err }); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(map[string]any{"crypto": crypto, "pubkey": key.PublicKey().String()[2:], "path": "", "uuid": "1d85ae20-35c5-4611-98e8-aa14a633906f", "version": 4})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("keystore-%03d.json", i)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(passwordFile, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, passwordFile
}

// storedKeys counts the keys in the table.
func (s *chamberSigner) storedKeys() (n int) {
	s.t.Helper()
	if _, err := s.world.Table.Load(context.WithoutCancel(s.t.Context()), []store.Status{store.Active}, 1, func(store.Key) error { n++; return nil }); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// TestOperatorImport: in more than one request, and the same command again goes on where it was stopped.
func TestOperatorImport(t *testing.T) {
	s := initializedSigner(t)
	dir, password := writeKeystores(t, chamber.MaxKeystores+5, "pass word")
	first := filepath.Join(dir, "keystore-000.json")
	s.does([]string{"import-keys", first, "--password", "pass word"}, "imported       1")
	t.Setenv("KEYSTORE_PASSWORD", "pass word")
	s.does([]string{"import-keys", first, "--password", "env:KEYSTORE_PASSWORD"}, "stored before  1; 1 of them do not sign here now, such as "+publicKeysOf(t, dir)[0], "loaded with the next refresh")
	if err := s.Stored.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.does([]string{"import-keys", first, "--password", "env:KEYSTORE_PASSWORD"}, "stored before  1\n")
	s.does([]string{"import-keys", dir, "--password-file", password}, "imported       104", "stored before  1", "failed         0")
	if n := s.storedKeys(); n != chamber.MaxKeystores+5 {
		t.Errorf("%d keys are stored", n)
	}
}

// TestOperatorImportOfFew: a signer whose configuration takes fewer keystores in a request gets fewer.
func TestOperatorImportOfFew(t *testing.T) {
	s := startChamberSigner(t, func(_ *internal.Options, o *chamber.Options) { o.Import.MaxItems = 3 })
	var got chamber.Initialized
	out := s.does([]string{"init", "--kms-key-arns", chambertest.ARN(1), "--kms-threshold", "1", "--output", "json"})
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ROOT_TOKEN", got.RootToken)
	dir, password := writeKeystores(t, 40, "p")
	s.does([]string{"import-keys", dir, "--password-file", password}, "imported       40", "stored before  0", "failed         0")
}

// TestOperatorImportFailures are told by file, and stop nothing else.
func TestOperatorImportFailures(t *testing.T) {
	s := initializedSigner(t)
	dir, password := writeKeystores(t, 4, "pass word")
	text, err := os.ReadFile(password)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"keystore-000.password": string(text), "keystore-001.txt": string(text), "keystore-002.txt": "wrong",
		"zz.json": "no keystore", "zz.txt": "x", "zzz.json": strings.Repeat(" ", maxSmallFile+1),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := s.operator("import-keys", dir, "--output", "json")
	var got imported
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitFailure || !strings.Contains(errs, "4 keystores were not imported") {
		t.Fatalf("exit code %d, %s %s: %v", code, out, errs, err)
	}
	told := map[string]string{}
	for _, e := range got.Errors {
		told[filepath.Base(e.File)] = e.Message
	}
	for file, words := range map[string]string{
		"keystore-002.json": "wrong password", "keystore-003.json": "there is no password", "zz.json": "not valid JSON", "zzz.json": "has more than 65536 bytes",
	} {
		if !strings.Contains(told[file], words) {
			t.Errorf("%s: %q, want %q", file, told[file], words)
		}
	}
	if got.Imported != 2 || len(told) != 4 || strings.Contains(out+errs, "pass word") {
		t.Errorf("%+v %s", got, errs)
	}
}

// TestOperatorImportIsStopped: what was done before is told, and why it ended.
func TestOperatorImportIsStopped(t *testing.T) {
	s := initializedSigner(t)
	dir, password := writeKeystores(t, chamber.MaxKeystores+1, "p")
	inner := s.Handler
	s.serve(oneByOne(func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 2 {
			if err := s.Chamber.SealChamber(r.Context()); err != nil {
				t.Error(err)
			}
		}
		inner.ServeHTTP(w, r)
	}, inner))
	code, out, errs := s.operator("import-keys", dir, "--password-file", password, "--retry-for", "0s", "--output", "json")
	var got imported
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitFailure || !strings.Contains(errs, "sealed by an operator, until an operator unseals (status 503)") {
		t.Fatalf("exit code %d, %s %s: %v", code, out, errs, err)
	}
	if got.Imported == 0 || got.Imported != s.storedKeys() || got.Left != chamber.MaxKeystores+1-got.Imported || len(got.Results) != got.Imported {
		t.Errorf("%d are stored: %+v", s.storedKeys(), got)
	}
}

// TestOperatorImportSkipsDepositData: a directory as staking-deposit-cli writes it is imported without a failure.
func TestOperatorImportSkipsDepositData(t *testing.T) {
	s := initializedSigner(t)
	dir, password := writeKeystores(t, 1, "p")
	deposits := filepath.Join(dir, "deposit_data-1772366400.json")
	if err := os.WriteFile(deposits, []byte(`[{"pubkey":"ab"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	note := "skipped: " + deposits + " is deposit data"
	for _, args := range [][]string{{dir}, {filepath.Join(dir, "keystore-000.json"), deposits}} {
		code, out, errs := s.operator(append([]string{"import-keys", "--password-file", password}, args...)...)
		if code != exitOK || !strings.Contains(out, "failed         0") || strings.Count(errs, note) != 1 {
			t.Errorf("%v: exit code %d, %s%s", args, code, out, errs)
		}
	}
	s.refuses([]string{"import-keys", deposits, "--password-file", password}, exitUsage, "there is no *.json there that is a keystore")
	if n := s.storedKeys(); n != 1 {
		t.Errorf("%d keys are stored", n)
	}
}
