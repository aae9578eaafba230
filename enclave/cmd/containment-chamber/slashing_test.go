package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

const hoodiRoot = "0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"

// protected is a directory with a configuration, and an interchange file of two keys.
func protected(t *testing.T) (config, file string) {
	t.Helper()
	dir := t.TempDir()
	config = configFile(t, fmt.Sprintf("network: hoodi\nanti_slashing: {backend: sqlite, sqlite: {path: %s/slashing.sqlite}}\n", dir))
	file = filepath.Join(dir, "history.json")
	interchangeFile(t, file,
		history(1, `{"slot": "7", "signing_root": "0x`+strings.Repeat("00", 32)+`"}`, `{"source_epoch": "2", "target_epoch": "3"}`),
		history(2, ``, `{"source_epoch": "4", "target_epoch": "5"}`))
	return config, file
}

func interchangeFile(t *testing.T, path string, entries ...string) {
	t.Helper()
	text := `{"metadata": {"interchange_format_version": "5", "genesis_validators_root": "` + hoodiRoot + `"}, "data": [` + strings.Join(entries, ",") + `]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func history(n byte, blocks, attestations string) string {
	return `{"pubkey": "` + publicKey(n) + `", "signed_blocks": [` + blocks + `], "signed_attestations": [` + attestations + `]}`
}

func publicKey(n byte) string { return bls.PublicKey{n}.String() }

// slashingRun runs a command and wants an exit code, and words on standard error unless it is 0. It returns standard output.
func slashingRun(t *testing.T, code int, words string, args ...string) string {
	t.Helper()
	var out, errs strings.Builder
	got := run(t.Context(), append([]string{"slashing"}, args...), &out, &errs)
	if got != code || !strings.Contains(errs.String(), words) || (code == 0) != (errs.Len() == 0) {
		t.Errorf("slashing %q: exit code %d, said %q; want %d and %q", args, got, errs.String(), code, words)
	}
	if code != 0 && out.Len() > 0 {
		t.Errorf("slashing %q failed and printed %q", args, out.String())
	}
	return out.String()
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

func TestSlashingImportReports(t *testing.T) {
	config, file := protected(t)
	fresh := "read 2 attestations and 1 blocks of 2 keys\n" +
		"new        " + publicKey(1) + "  source 2 target 3 (root unknown), slot 7\n" +
		"new        " + publicKey(2) + "  source 4 target 5 (root unknown), no block\n" +
		"2 new, 0 raised, 0 unchanged"
	same(t, slashingRun(t, 0, "", "import", file, "-c", config), fresh+"\n")
	interchangeFile(t, file,
		history(2, `{"slot": 1}`, ``), history(3, ``, ``), history(1, ``, `{"source_epoch": "1", "target_epoch": "3"}`), history(2, `{"slot": 2}`, ``))
	mixed := "read 1 attestations and 2 blocks of 3 keys\n" +
		"unchanged  " + publicKey(1) + "  source 2 target 3 (root unknown), slot 7\n" +
		"raised     " + publicKey(2) + "  source 4 target 5 (root unknown), no block -> source 4 target 5 (root unknown), slot 2 (root unknown)\n" +
		"unchanged  " + publicKey(3) + "  no attestation, no block\n" +
		"0 new, 1 raised, 2 unchanged"
	for range 2 { // a dry run writes nothing
		same(t, slashingRun(t, 0, "", "import", "--dry-run", file, "-c", config), mixed+"; a dry run, nothing was written\n")
	}
	same(t, slashingRun(t, 0, "", "import", file, "-c", config), mixed+"\n")
	if out := slashingRun(t, 0, "", "import", file, "-c", config); !strings.HasSuffix(out, "0 new, 0 raised, 3 unchanged\n") {
		t.Errorf("the second time: %s", out)
	}
}

func TestSlashingExport(t *testing.T) {
	config, file := protected(t)
	slashingRun(t, 0, "", "import", file, "-c", config)
	printed := slashingRun(t, 0, "", "export", "-c", config)
	same(t, slashingRun(t, 0, "", "export", "-", "-c", config), printed)
	if strings.Count(printed, "signing_root") != 1 || !strings.HasSuffix(printed, "}\n") || !strings.Contains(printed, hoodiRoot) {
		t.Errorf("exported %s", printed)
	}
	out := filepath.Join(t.TempDir(), "out.json")
	for range 2 { // it may replace a file
		same(t, slashingRun(t, 0, "", "export", out, "-c", config), "wrote 2 keys to "+out+"\n")
		written, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		same(t, string(written), printed)
	}
	entries, err := os.ReadDir(filepath.Dir(out))
	if info, statErr := os.Stat(out); err != nil || statErr != nil || len(entries) != 1 || info.Mode() != 0o600 {
		t.Errorf("left behind %v, %v, %v", entries, err, statErr)
	}
	other, _ := protected(t)
	slashingRun(t, 0, "", "import", out, "-c", other)
	same(t, slashingRun(t, 0, "", "export", "-c", other), printed)
	slashingRun(t, 1, "not a directory", "export", filepath.Join(out, "x"), "-c", config)
}

func TestSlashingStatus(t *testing.T) {
	config, file := protected(t)
	slashingRun(t, 0, "", "import", file, "-c", config)
	var got map[string]any
	if err := json.Unmarshal([]byte(slashingRun(t, 0, "", "status", "--json", "-c", config)), &got); err != nil {
		t.Fatal(err)
	}
	id, _ := got["store_id"].(string)
	want := map[string]any{
		"backend": "sqlite", "store_id": id, "network": "hoodi", "genesis_validators_root": hoodiRoot, "keys": 2., "attestations": 2., "blocks": 1.,
		"highest_source_epoch": 4., "highest_target_epoch": 5., "highest_slot": 7.,
	}
	if diff := cmp.Diff(want, got); diff != "" || len(id) != 32 {
		t.Errorf("store_id %q, %s", id, diff)
	}
	same(t, slashingRun(t, 0, "", "status", "-c", config), `store                    sqlite `+id+`
network                  hoodi
genesis validators root  `+hoodiRoot+`
keys                     2
attestations             2, highest source epoch 4, highest target epoch 5
blocks                   1, highest slot 7
`)
}

func TestSlashingRaise(t *testing.T) {
	config, file := protected(t)
	slashingRun(t, 0, "", "import", file, "-c", config)
	same(t, slashingRun(t, 0, "", "raise", "--slot", "7", "--key", publicKey(1)[2:], "--key", publicKey(1), "--key", publicKey(9), "-c", config),
		"raised     "+publicKey(1)+"  source 2 target 3 (root unknown), slot 7 -> source 2 target 3 (root unknown), slot 7 (root unknown)\n"+
			"new        "+publicKey(9)+"  no attestation, slot 7 (root unknown)\n"+
			"1 new, 1 raised, 0 unchanged\n")
	all := "raised     " + publicKey(1) + "  source 2 target 3 (root unknown), slot 7 (root unknown) -> source 3 target 5 (root unknown), slot 7 (root unknown)\n" +
		"unchanged  " + publicKey(2) + "  source 4 target 5 (root unknown), no block\n" +
		"raised     " + publicKey(9) + "  no attestation, slot 7 (root unknown) -> source 3 target 5 (root unknown), slot 7 (root unknown)\n" +
		"0 new, 2 raised, 1 unchanged"
	lift := []string{"raise", "--source-epoch", "3", "--target-epoch", "5", "-c", config}
	same(t, slashingRun(t, 0, "", append(lift, "--dry-run")...), all+"; a dry run, nothing was written\n")
	same(t, slashingRun(t, 0, "", lift...), all+"\n")
	if out := slashingRun(t, 0, "", lift...); !strings.HasSuffix(out, "0 new, 0 raised, 3 unchanged\n") {
		t.Errorf("the second time: %s", out)
	}
}

func TestSlashingRefuses(t *testing.T) {
	config, file := protected(t)
	noop := configFile(t, configNoop)
	missing := "slashing database: stat "
	slashingRun(t, 1, missing, "status", "-c", config)
	slashingRun(t, 1, missing, "export", "-c", config)
	slashingRun(t, 1, missing, "raise", "--slot", "1", "-c", config)
	slashingRun(t, 1, missing, "import", file, "--dry-run", "-c", config)
	store := filepath.Join(filepath.Dir(file), "slashing.sqlite")
	if _, err := os.Stat(store); err == nil {
		t.Error("a command that only looks made a store")
	}
	slashingRun(t, 0, "", "import", file, "-c", config)
	before := slashingRun(t, 0, "", "export", "-c", config)

	bad := filepath.Join(t.TempDir(), "bad.json")
	interchangeFile(t, bad, history(1, `{"slot": 99}`, ``), history(2, `{"slot": -1}`, ``))
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
		{2, "want --slot", []string{"raise"}},
		{2, "want --slot", []string{"raise", "--slot", "1", "--target-epoch", "1"}},
		{2, "--source-epoch 2 is above --target-epoch 1", []string{"raise", "--source-epoch", "2", "--target-epoch", "1"}},
		{2, "9223372036854775808 is above", []string{"raise", "--slot", "9223372036854775808"}},
		{2, "96 hexadecimal digits", []string{"raise", "--slot", "1", "--key", "0x12"}},
		{2, "invalid argument", []string{"raise", "--slot", "-1"}},
		{2, "backend", []string{"status", "--anti-slashing-backend", "none"}},
	} {
		args := test.args
		if args[0] != "lower" {
			args = append(args, "-c", config)
		}
		slashingRun(t, test.code, test.words, args...)
	}
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
	slashingRun(t, 1, "stop the signer first", "import", file, "-c", config)
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
		if code != 0 || !strings.HasPrefix(errs.String(), test.warning) || (test.warning == "") != (errs.Len() == 0) {
			t.Errorf("%s: exit code %d, said %q, want %q", test.args, code, errs.String(), test.warning)
		}
	}
}

// TestSlashingMigrate makes a store that belongs to no network yet, once.
func TestSlashingMigrate(t *testing.T) {
	config, _ := protected(t)
	first := slashingRun(t, 0, "", "migrate", "-c", config)
	same(t, slashingRun(t, 0, "", "migrate", "-c", config, "--anti-slashing-migrate", "check"), first)
	id := strings.Fields(first)[1]
	if out := slashingRun(t, 0, "", "status", "-c", config); !strings.Contains(out, id) || !strings.Contains(out, "not pinned yet") {
		t.Errorf("made %s, which is\n%s", id, out)
	}
}

func TestSlashingImportFromStandardInput(t *testing.T) {
	config, file := protected(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	root := newRootCommand()
	root.SetArgs([]string{"slashing", "import", "-", "-c", config})
	root.SetIn(bytes.NewReader(text))
	root.SetOut(&out)
	if err := root.ExecuteContext(t.Context()); err != nil || !strings.HasSuffix(out.String(), "2 new, 0 raised, 0 unchanged\n") {
		t.Errorf("%s, %v", out.String(), err)
	}
}

func TestProgress(t *testing.T) {
	var out strings.Builder
	p := &progress{w: &out, name: "reading", total: 4}
	p.add(1)
	p.end()
	same(t, out.String(), "\rreading [#######                       ]  25 %\r\x1b[K")
	p.total = 0
	same(t, p.line(), "reading: 1")
	var quiet *progress
	quiet.add(1)
	quiet.end()
	if newProgress(&out, "x", 1) != nil {
		t.Error("drawn where there is no terminal")
	}
}
