package config

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// example is the file that users start from, made from the enclave's configuration.
const example = "../../../config.example.yaml"

func TestExampleLoads(t *testing.T) {
	c, err := Load(example, nil, []string{"tee.platform=simulated", "tee.simulated.socket_dir=./run/vsock"})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Simulated || c.SocketDir != "./run/vsock" || c.API != "127.0.0.1:9443" {
		t.Errorf("got %+v", c)
	}
}

// TestExampleWrittenOut takes away the marks before the commented values, so that every key of the manual is read, and expects the values
// that the manual calls defaults to be ours.
func TestExampleWrittenOut(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	marks := 0
	for line := range strings.Lines(string(text)) {
		trimmed := strings.TrimLeft(line, " ")
		// "#key: value" is a value, "# Word" is prose.
		if rest, marked := strings.CutPrefix(trimmed, "#"); marked && !strings.HasPrefix(rest, " ") || strings.HasPrefix(trimmed, "#  ") {
			line = line[:len(line)-len(trimmed)] + trimmed[1:]
			marks++
		}
		out = append(out, line)
	}
	if marks < 20 {
		t.Fatalf("only %d commented values in %s: its form has changed", marks, example)
	}
	path := write(t, strings.Join(out, ""))
	c, err := Load(path, nil, []string{"tee.platform=nitro"})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Routes) == 0 {
		t.Error("the example's route was not read")
	}
	defaults := load(t, least, nil, nil)
	c.Merged, c.Routes, c.SocketDir = defaults.Merged, nil, "" // examples, not defaults
	if diff := cmp.Diff(defaults, c); diff != "" {
		t.Errorf("the manual's defaults are not ours:\n%s", diff)
	}
}
