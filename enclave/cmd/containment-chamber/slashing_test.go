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

// slashingRun runs a command and wants an exit code, and words on standard error unless it is 0, after the line that says where it
// works. It returns standard output.
func slashingRun(t *testing.T, code int, words string, args ...string) string {
	t.Helper()
	var out, errs strings.Builder
	got := run(t.Context(), append([]string{"slashing"}, args...), &out, &errs)
	said := errs.String()
	if place, rest, _ := strings.Cut(said, "\n"); strings.HasPrefix(place, "store: sqlite /") || strings.HasPrefix(place, "signer: http") {
		said = rest
	} else if code != exitUsage {
		t.Errorf("slashing %q did not say where it works: %q", args, errs.String())
	}
	if got != code || !strings.Contains(said, words) || (code == 0) != (said == "") {
		t.Errorf("slashing %q: exit code %d, said %q; want %d and %q", args, got, said, code, words)
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
	fresh := "new        " + publicKey(1) + "  source 2 target 3 (root unknown), slot 7\n" +
		"new        " + publicKey(2) + "  source 4 target 5 (root unknown), no block\n" +
		"read 2 attestations and 1 blocks of 2 keys\n" +
		"2 new, 0 raised, 0 unchanged"
	same(t, slashingRun(t, 0, "", "import", file, "-c", config), fresh+"\n")
	interchangeFile(t, file,
		history(2, `{"slot": 1}`, ``), history(3, ``, ``), history(1, ``, `{"source_epoch": "1", "target_epoch": "3"}`), history(2, `{"slot": 2}`, ``))
	mixed := "unchanged  " + publicKey(1) + "  source 2 target 3 (root unknown), slot 7\n" +
		"raised     " + publicKey(2) + "  source 4 target 5 (root unknown), no block -> source 4 target 5 (root unknown), slot 2 (root unknown)\n" +
		"unchanged  " + publicKey(3) + "  no attestation, no block\n" +
		"read 1 attestations and 2 blocks of 3 keys\n" +
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
		"highest_source_epoch": "4", "highest_target_epoch": "5", "highest_slot": "7",
		"high_watermark": map[string]any{}, "high_watermark_keys": 0.,
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
high watermark           none; 0 keys have their own
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

// TestSlashingInit makes the keys known that are not, and leaves the others as they are.
func TestSlashingInit(t *testing.T) {
	config, file := protected(t)
	slashingRun(t, 0, "", "import", file, "-c", config)
	lines := "unchanged  " + publicKey(2) + "  source 4 target 5 (root unknown), no block\n" +
		"new        " + publicKey(9) + "  source 0 target 0 (root unknown), slot 0 (root unknown)\n1 new, 0 raised, 1 unchanged"
	named := []string{"init", "--key", publicKey(2), "--key", publicKey(9), "--key", publicKey(9)[2:], "-c", config}
	for range 2 {
		same(t, slashingRun(t, 0, "", append(named, "--dry-run")...), lines+"; a dry run, nothing was written\n")
	}
	same(t, slashingRun(t, 0, "", named...), lines+"\n")
	if out := slashingRun(t, 0, "", named...); !strings.HasSuffix(out, "0 new, 0 raised, 2 unchanged\n") {
		t.Errorf("the second time: %s", out)
	}
}

func TestSlashingHighWatermark(t *testing.T) {
	config, file := protected(t)
	slashingRun(t, 0, "", "import", file, "-c", config)
	for _, test := range []struct{ args, want string }{
		{"", "all keys  none\n"},
		{"--slot 900", "all keys  slot 900, epoch none\n"},
		{"--epoch 0", "all keys  slot 900, epoch 0\n"},
		{"--epoch 5 --key " + publicKey(7), "all keys  slot 900, epoch 0\n" + publicKey(7) + "  slot none, epoch 5\n"},
		{"", "all keys  slot 900, epoch 0\n" + publicKey(7) + "  slot none, epoch 5\n"},
		{"--remove", "all keys  none\n" + publicKey(7) + "  slot none, epoch 5\n"},
		{"--remove --key " + publicKey(7), "all keys  none\n"},
	} {
		same(t, slashingRun(t, 0, "", append([]string{"high-watermark", "-c", config}, strings.Fields(test.args)...)...), test.want)
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
