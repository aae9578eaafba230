package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keygen/deposit"
)

// recoverableSigner is an initialized signer whose new keys have backups.
func recoverableSigner(t *testing.T) (*chamberSigner, *age.X25519Identity) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return initializedSignerFor(t, identity.Recipient().String()), identity
}

func written(t *testing.T, dir, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v %v", file, info.Mode(), err)
		}
	}
	return files
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestOperatorGeneratesKeys: two requests, of which each has a mnemonic.
func TestOperatorGeneratesKeys(t *testing.T) {
	s, _ := recoverableSigner(t)
	dir := filepath.Join(t.TempDir(), "new")
	s.does([]string{
		"generate-keys", "--count", "3", "--keys-per-mnemonic", "2", "--status", "inactive", "--output-dir", dir,
		"--withdrawal-address", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
	}, "keys    3", "failed  0", "deposit_data-")
	backups, publics, deposits := written(t, dir, "backup-*-?.age"), written(t, dir, "public_keys-*.txt"), written(t, dir, "deposit_data-*.json")
	if len(backups) != 2 || len(publics) != 1 || len(deposits) != 1 {
		t.Fatalf("%v %v %v", backups, publics, deposits)
	}
	var data []deposit.Data
	if err := json.Unmarshal([]byte(readText(t, deposits[0])), &data); err != nil || len(data) != 3 {
		t.Fatalf("%v %v", data, err)
	}
	keys := s.does([]string{"list-keys"})
	for i, d := range data {
		if !strings.Contains(readText(t, publics[0]), "0x"+d.PublicKey+" # m/12381/3600/") || !strings.Contains(keys, "0x"+d.PublicKey+"  inactive  backup  ") {
			t.Errorf("%d: %s is not in\n%s\n%s", i, d.PublicKey, readText(t, publics[0]), keys)
		}
	}
	if got, first := s.does([]string{"key-backup", data[0].PublicKey}), readText(t, backups[0]); got != first {
		t.Errorf("%q, want %q", got, first)
	}
	var listed chamber.Listed
	if err := json.Unmarshal([]byte(s.does([]string{"list-keys", "--output", "json"})), &listed); err != nil || len(listed.Data) != 3 {
		t.Errorf("%+v %v", listed, err)
	}
	file := filepath.Join(dir, "active")
	if err := os.WriteFile(file, []byte(readText(t, publics[0])), 0o600); err != nil {
		t.Fatal(err)
	}
	s.does([]string{"activate-keys", "--yes", "--pubkeys", file}, "done        3") // the list of public keys is taken as it is
}

func TestOperatorGeneratesKeysWithoutBackup(t *testing.T) {
	s := initializedSigner(t)
	dir := t.TempDir()
	out := s.does([]string{"generate-keys", "--count", "1", "--output-dir", dir}, "none: the signer has no recipients")
	if len(written(t, dir, "*")) != 1 {
		t.Error(out)
	}
	key := strings.Fields(readText(t, written(t, dir, "public*")[0]))[0]
	s.refuses([]string{"key-backup", key}, exitFailure, "no backup is stored beside it")
	s.refuses([]string{"key-backup", "0x12"}, exitUsage, "PUBKEY")
}

func TestOperatorGenerateKeysRefuses(t *testing.T) {
	s := initializedSigner(t)
	dir := t.TempDir()
	for flags, words := range map[string]string{
		"":                                      "--count: want 1 or more",
		"--count 1":                             "--output-dir is needed",
		"--count 1 --status old":                "--status: ",
		"--count 1 --amount-gwei 1":             "--amount-gwei: without",
		"--count 1 --withdrawal-address 0x12":   "--withdrawal-address: want 0x and 40",
		"--count 1 --withdrawal-credentials 12": "--withdrawal-credentials: want 0x and 64",
		"--count 1 --withdrawal-address 0x12 --withdrawal-credentials 0x12": "exclude each other",
		"--count 1 --keys-per-mnemonic 5001":                                "--keys-per-mnemonic: want 1 to 5000",
	} {
		args := append([]string{"generate-keys"}, strings.Fields(flags)...)
		if !strings.Contains(words, "--output-dir") {
			args = append(args, "--output-dir", dir)
		}
		s.refuses(args, exitUsage, words)
	}
	if all := written(t, dir, "*"); len(all) != 0 {
		t.Error(all)
	}
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.refuses([]string{"generate-keys", "--count", "1", "--output-dir", blocked}, exitUsage, "--output-dir")
	if keys := s.does([]string{"list-keys"}); keys != "" {
		t.Error(keys)
	}
}

// TestCheckDeposit: what a hostile signer could send in place of a deposit is not written.
func TestCheckDeposit(t *testing.T) {
	s := initializedSigner(t)
	dir := t.TempDir()
	g := generation{address: "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", amount: deposit.DefaultAmount}
	s.does([]string{"generate-keys", "--count", "1", "--output-dir", dir, "--withdrawal-address", g.address})
	var data []deposit.Data
	if err := json.Unmarshal([]byte(readText(t, written(t, dir, "deposit*")[0])), &data); err != nil {
		t.Fatal(err)
	}
	if err := checkDeposit(data[0], g); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(d *deposit.Data, g *generation){
		"address":   func(_ *deposit.Data, g *generation) { g.address = strings.Replace(g.address, "5aae", "5aaf", 1) },
		"amount":    func(d *deposit.Data, _ *generation) { d.Amount-- },
		"signature": func(d *deposit.Data, _ *generation) { d.Signature = d.Signature[:190] },
		"root":      func(d *deposit.Data, _ *generation) { d.DataRoot = strings.Repeat("00", 32) },
		"version":   func(d *deposit.Data, _ *generation) { d.ForkVersion = "00000000" },
		"short":     func(d *deposit.Data, _ *generation) { d.ForkVersion = "00" },
		"key":       func(d *deposit.Data, _ *generation) { d.PublicKey = "80" + strings.Repeat("01", 47) },
	} {
		d, g := data[0], g
		change(&d, &g)
		if err := checkDeposit(d, g); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if len(data[0].ForkVersion) != 2*len(eth2.Version{}) {
		t.Error(data[0].ForkVersion)
	}
}
