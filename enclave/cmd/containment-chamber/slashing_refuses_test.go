package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

func TestSlashingRefuses(t *testing.T) {
	config, file := protected(t)
	noop := configFile(t, configNoop)
	missing := "slashing database: stat "
	bad := filepath.Join(t.TempDir(), "bad.json")
	interchangeFile(t, bad, history(1, `{"slot": 99}`, ``), history(2, `{"slot": -1}`, ``))
	slashingRun(t, 1, "nothing was imported", "import", bad, "-c", config)
	slashingRun(t, 1, "no such file", "import", "none.json", "-c", config)
	slashingRun(t, 1, missing, "status", "-c", config)
	slashingRun(t, 1, missing, "export", "-c", config)
	slashingRun(t, 1, missing, "raise", "--slot", "1", "-c", config)
	slashingRun(t, 1, missing, "init", "--key", publicKey(1), "-c", config)
	slashingRun(t, 1, missing, "high-watermark", "--slot", "1", "-c", config)
	slashingRun(t, 1, missing, "import", file, "--dry-run", "-c", config)
	store := filepath.Join(filepath.Dir(file), "slashing.sqlite")
	if _, err := os.Stat(store); err == nil {
		t.Error("a command that only looks, or has nothing to import, made a store")
	}
	slashingRun(t, 0, "", "import", file, "-c", config)
	before := slashingRun(t, 0, "", "export", "-c", config)

	for _, test := range []struct {
		code  int
		words string
		args  []string
	}{
		{1, "bad.json: data[1].signed_blocks[0].slot: not a usable EIP-3076 interchange file: \"-1\" is negative; nothing was imported", []string{"import", bad}},
		{1, "another network", []string{"import", file, "--network", "mainnet"}},
		{1, "another network", []string{"status", "--network", "mainnet"}},
		{1, "another network", []string{"export", "--network", "sepolia"}},
		{1, "another network", []string{"raise", "--slot", "9", "--network", "sepolia"}},
		{1, "no such file", []string{"import", "none.json"}},
		{2, "accepts 1 arg(s), received 0", []string{"import"}},
		{2, "accepts at most 1 arg(s), received 2", []string{"export", "a", "b"}},
		{2, `unknown command "x"`, []string{"status", "x"}},
		{2, `unknown command "lower"`, []string{"lower"}},
		{2, "want --to-now, or --slot", []string{"raise"}},
		{2, "want --to-now, or --slot", []string{"raise", "--slot", "1", "--target-epoch", "1"}},
		{2, "--source-epoch 2 is above --target-epoch 1", []string{"raise", "--source-epoch", "2", "--target-epoch", "1"}},
		{2, "9223372036854775808 is above", []string{"raise", "--slot", "9223372036854775808"}},
		{2, "96 hexadecimal digits", []string{"raise", "--slot", "1", "--key", "0x12"}},
		{2, "invalid argument", []string{"raise", "--slot", "-1"}},
		{1, "another network", []string{"init", "--key", publicKey(1), "--network", "sepolia"}},
		{2, "want --key", []string{"init"}},
		{2, "96 hexadecimal digits", []string{"init", "--key", "x"}},
		{1, "another network", []string{"high-watermark", "--network", "sepolia"}},
		{2, "--remove goes without --slot", []string{"high-watermark", "--remove", "--epoch", "0"}},
		{2, "--key and --keys-file go with --slot, --epoch, --to-now or --remove", []string{"high-watermark", "--key", publicKey(1)}},
		{2, "9223372036854775808 is above", []string{"high-watermark", "--epoch", "9223372036854775808"}},
		{2, "--signer-ca goes with --signer-url", []string{"status", "--signer-ca", bad}},
		{2, "backend", []string{"status", "--anti-slashing-backend", "none"}},
	} {
		args := test.args
		if args[0] != "lower" {
			args = append(args, "-c", config)
		}
		slashingRun(t, test.code, test.words, args...)
	}
	slashingRun(t, 2, "--anti-slashing-backend", "status", "--signer-url", "http://127.0.0.1:1", "--anti-slashing-backend", "noop")
	slashingRun(t, 2, "noop keeps no record", "status", "-c", noop)
	same(t, slashingRun(t, 0, "", "export", "-c", config), before)
}

// TestSlashingStoreInUse: a store that a signer has open is left alone, and the error says what to do.
func TestSlashingStoreInUse(t *testing.T) {
	config, file := protected(t)
	s, err := sqlite.Open(t.Context(), filepath.Join(filepath.Dir(file), "slashing.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	slashingRun(t, 1, "stop the signer first, or go through it with --signer-url", "import", file, "-c", config)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	slashingRun(t, 1, "no key on record", "raise", "--slot", "1", "-c", config)
	if out := slashingRun(t, 0, "", "status", "-c", config); !strings.Contains(out, "not pinned yet") || !strings.Contains(out, "highest slot none") {
		t.Errorf("an unused store: %s", out)
	}
	slashingRun(t, 0, "", "import", file, "-c", config)
}

// TestSlashingWarnsOfTheFuture: a height that the chain has not reached takes a key out of its duties for good.
func TestSlashingWarnsOfTheFuture(t *testing.T) {
	config, file := protected(t)
	interchangeFile(t, file, history(1, `{"slot": 9223372036854775807}`, ``), history(2, ``, `{"source_epoch": 1, "target_epoch": 4000000000}`), history(3, `{"slot": 5}`, ``))
	for _, test := range []struct{ args, warning string }{
		{"import " + file, "warning: 2 keys get heights up to epoch 288230376151711743, while it is epoch "},
		{"import --dry-run " + file, "warning: 2 keys "},
		{"raise --slot 5", ""},
		{"raise --slot 1000000000000 --key " + publicKey(4), "warning: 1 keys get heights up to epoch 31250000000, "},
		{"raise --source-epoch 1 --target-epoch 4000000000 --dry-run", "warning: 4 keys "},
	} {
		var out, errs strings.Builder
		code := run(t.Context(), append(strings.Fields("slashing "+test.args), "-c", config), &out, &errs)
		if _, said, _ := strings.Cut(errs.String(), "\n"); code != 0 || !strings.HasPrefix(said, test.warning) || (test.warning == "") != (said == "") {
			t.Errorf("%s: exit code %d, said %q, want %q", test.args, code, errs.String(), test.warning)
		}
	}
}

// TestSlashingEmptyFile: a command that only looks makes no database of an empty file.
func TestSlashingEmptyFile(t *testing.T) {
	config, file := protected(t)
	store := filepath.Join(filepath.Dir(file), "slashing.sqlite")
	if err := os.WriteFile(store, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const empty = "slashing.sqlite: the file is empty"
	slashingRun(t, 1, empty, "status", "-c", config)
	slashingRun(t, 1, empty, "import", file, "--dry-run", "-c", config)
	if text, err := os.ReadFile(store); err != nil || len(text) > 0 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	slashingRun(t, 0, "", "import", file, "-c", config)
}

// TestSlashingExportKeepsWhatIsNoFile: a link is not replaced by an export, and a directory not tried.
func TestSlashingExportKeepsWhatIsNoFile(t *testing.T) {
	config, file := protected(t)
	slashingRun(t, 0, "", "import", file, "-c", config)
	dir := t.TempDir()
	link := filepath.Join(dir, "link.json")
	if err := os.Symlink("elsewhere.json", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, dir} {
		slashingRun(t, 1, path+" is not a regular file; leave FILE out for standard output", "export", path, "-c", config)
	}
	if to, err := os.Readlink(link); err != nil || to != "elsewhere.json" {
		t.Errorf("the link is now to %q, %v", to, err)
	}
}

// TestOpenLedgerOutsideOfEnclaves: the commands run beside an enclave, not in it, with the credentials of their own machine.
func TestOpenLedgerOutsideOfEnclaves(t *testing.T) {
	cfg := &config.Config{TEE: config.TEE{Platform: "nitro"}}
	cfg.AntiSlashing.Backend, cfg.AntiSlashing.SQLite.Path = "sqlite", filepath.Join(t.TempDir(), "s.sqlite")
	ledger, err := openLedger(t.Context(), cfg, true, openLimit)
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.Close(); err != nil {
		t.Fatal(err)
	}
}
