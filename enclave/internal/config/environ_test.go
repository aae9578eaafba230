package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFlagLists(t *testing.T) {
	for _, args := range [][]string{
		{"--key-sources-filesystem-paths", "/a,/b"},
		{"--filesystem-keystores-path", "/a", "--filesystem-keystores-path=/b"},
	} {
		c := load(t, Sources{YAML: []byte(least), Flags: flags(t, args...)})
		if diff := cmp.Diff([]string{"/a", "/b"}, c.KeySources.Filesystem.Paths); diff != "" {
			t.Errorf("%q (-want +got):\n%s", args, diff)
		}
	}
}

func TestFlagHelp(t *testing.T) {
	help := flags(t).FlagUsages()
	for _, want := range []string{
		"--server-listen-port number", "sets server.listen_port (default 9000)",
		"--network mainnet|sepolia|hoodi|holesky|gnosis|custom", "--http-experimental-batch-sign true|false", "--filesystem-keystores-path list", "--anti-slashing-sqlite-path text",
	} {
		if !strings.Contains(help, want) {
			t.Errorf("help does not say %q:\n%s", want, help)
		}
	}
	if strings.Contains(help, "egress ") || strings.Contains(help, "forks") {
		t.Error("a list of entries has a flag")
	}
}

func TestSwitch(t *testing.T) {
	const on = least + "http: {experimental: {batch_sign: true}}\n"
	const variable = "CONTAINMENT_HTTP__EXPERIMENTAL__BATCH_SIGN="
	for _, test := range []struct {
		name string
		s    Sources
		want bool
	}{
		{"default", Sources{YAML: []byte(least)}, false},
		{"file", Sources{YAML: []byte(on)}, true},
		{"quoted, as from the parent's environment", Sources{YAML: []byte(strings.Replace(on, "true", `"true"`, 1))}, true},
		{"variable over file", Sources{YAML: []byte(on), Environ: []string{variable + "false"}}, false},
		{"flag alone", Sources{YAML: []byte(least), Environ: []string{variable + "false"}, Flags: flags(t, "--http-experimental-batch-sign")}, true},
		{"flag over variable", Sources{YAML: []byte(on), Environ: []string{variable + "true"}, Flags: flags(t, "--http-experimental-batch-sign=false")}, false},
	} {
		if got := load(t, test.s).HTTP.Experimental.BatchSign; got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}
