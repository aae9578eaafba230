package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSlashingKeysFile: every verb that takes --key takes a file of keys, and keys from standard input.
func TestSlashingKeysFile(t *testing.T) {
	config, _ := protected(t)
	path := filepath.Join(t.TempDir(), "keys.txt")
	text := "# of the first machine\n" + publicKey(1) + "\n\n  " + publicKey(2)[2:] + "\t# the second\r\n" + publicKey(1) + "\n" + publicKey(3)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	slashingRun(t, 0, "", "migrate", "-c", config)
	line := func(result string, n byte, votes string) string { return result + publicKey(n) + votes + "\n" }
	const lowest = "  source 0 target 0 (root unknown), slot 0 (root unknown)"
	same(t, slashingRun(t, 0, "", "init", "--keys-file", path, "--key", publicKey(3), "-c", config),
		line("new        ", 3, lowest)+line("new        ", 1, lowest)+line("new        ", 2, lowest)+"3 new, 0 raised, 0 unchanged\n")
	if out := slashingRun(t, 0, "", "raise", "--slot", "7", "--keys-file", path, "-c", config); !strings.HasSuffix(out, "\n0 new, 3 raised, 0 unchanged\n") {
		t.Errorf("raised %s", out)
	}
	same(t, slashingRun(t, 0, "", "high-watermark", "--slot", "9", "--keys-file", path, "-c", config),
		"all keys  none\n"+line("", 1, "  slot 9, epoch none")+line("", 2, "  slot 9, epoch none")+line("", 3, "  slot 9, epoch none"))
	for _, verb := range []string{"init", "raise --slot 8", "high-watermark --remove"} {
		var out strings.Builder
		root := newRootCommand()
		root.SetArgs(append(strings.Fields("slashing "+verb), "--keys-file", "-", "-c", config))
		root.SetIn(strings.NewReader(publicKey(2)))
		root.SetOut(&out)
		root.SetErr(&strings.Builder{})
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
		if _, of2, _ := strings.Cut(out.String(), publicKey(2)); verb == "high-watermark --remove" {
			same(t, out.String(), "all keys  none\n"+line("", 1, "  slot 9, epoch none")+line("", 3, "  slot 9, epoch none"))
		} else if of2 == "" || strings.Contains(out.String(), publicKey(1)) {
			t.Errorf("%s: %s", verb, out.String())
		}
	}
}

// TestSlashingKeysFileRefuses: a file of no keys is not all keys.
func TestSlashingKeysFileRefuses(t *testing.T) {
	config, file := protected(t)
	slashingRun(t, 0, "", "import", file, "-c", config)
	before := slashingRun(t, 0, "", "export", "-c", config)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, words := range map[string]string{
		write("empty", ""):                                "empty: it names no key",
		write("comments", "# "+publicKey(1)+"\n\n"):       "comments: it names no key",
		write("list", publicKey(1)+"\n"+publicKey(2)+","): "list: line 2: \"" + publicKey(2) + ",\": ",
		write("long", strings.Repeat("a", 1<<17)):         "long: bufio.Scanner: token too long",
		filepath.Join(dir, "none"):                        "no such file",
		dir:                                               "is a directory",
		"":                                                "no such file", // a variable that is not set
		write("short", "\n"+publicKey(1)+"\n0x12 # short"): "short: line 3: \"0x12\": ",
	} {
		for _, verb := range []string{"init", "raise --slot 8", "high-watermark --slot 8", "high-watermark --remove"} {
			slashingRun(t, 2, words, append(strings.Fields(verb), "--keys-file", path, "-c", config)...)
		}
	}
	slashingRun(t, 2, "--key and --keys-file go with", "high-watermark", "--keys-file", write("good", publicKey(1)), "-c", config)
	same(t, slashingRun(t, 0, "", "export", "-c", config), before)
	same(t, slashingRun(t, 0, "", "high-watermark", "-c", config), "all keys  none\n")
}

// TestToNowLiftsNoFreeze: whoever repeats the commands of a move does not set a store free that was frozen by it.
func TestToNowLiftsNoFreeze(t *testing.T) {
	config, file := protected(t)
	slashingRun(t, 0, "", "import", file, "-c", config)
	frozen := slashingRun(t, 0, "", "high-watermark", "--slot", "100", "--epoch", "3", "-c", config)
	same(t, slashingRun(t, 0, "", "high-watermark", "--to-now", "-c", config), frozen)
	own := slashingRun(t, 0, "", "high-watermark", "--slot", "90", "--epoch", "2", "--key", publicKey(1), "-c", config)
	same(t, slashingRun(t, 0, "", "high-watermark", "--to-now", "--key", publicKey(1), "-c", config), own)
	if lifted := slashingRun(t, 0, "", "high-watermark", "--slot", "200", "-c", config); lifted == own {
		t.Error("heights that are given do not lift it")
	}
}
