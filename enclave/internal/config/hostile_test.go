package config

import (
	"strconv"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func TestManyProblemsAreBounded(t *testing.T) {
	var yaml strings.Builder
	for i := range 50_000 {
		yaml.WriteString("k" + strconv.Itoa(i) + ": 1\n")
	}
	got := refused(t, Sources{YAML: []byte(yaml.String())})
	if len(got) != maxProblems+1 || got[maxProblems] != "and 49982 more problems" {
		t.Errorf("%d lines, the last one %q", len(got), got[len(got)-1])
	}
}

// TestHostileShapes gives the parser what made others slow: each must be answered, which one that needs more than linear time would
// not be before the tests' own limit.
func TestHostileShapes(t *testing.T) {
	size := wire.MaxConfiguration
	for name, text := range map[string]string{
		"deep flow":      strings.Repeat("[", size),
		"deep mappings":  strings.Repeat("{a: ", size/4),
		"deep sequences": strings.Repeat("- ", size/2),
		"long key":       strings.Repeat("k", size-4) + ": 1",
		"dotted key":     "? " + strings.Repeat("a.", size/2-4) + "a\n: 1\n",
		"long comment":   strings.Repeat("#", size),
		"many comments":  strings.Repeat("#\n", size/2),
		"many anchors":   strings.Repeat("- &a b\n", size/7),
		"many documents": strings.Repeat("---\n", size/4),
		"many forks":     "custom_network: {forks: [" + strings.Repeat("{},", size/4) + "]}",
		"many versions":  "network: custom\ncustom_network: {forks: [" + strings.Repeat("{name: gloas, version: 0x00000000},", size/36) + "]}",
		"many canaries":  "signing: {canary_keys: [" + strings.Repeat("a,", size/3) + "]}",
		"many KMS keys":  "chamber: {kms_key_arns: [" + strings.Repeat("a,", size/3) + "]}",
		"long KMS key":   "chamber: {kms_key_arns: [arn:aws:kms:" + strings.Repeat("a-", size/2-100) + "]}",
		"many statuses":  "key_sources: {database: {status_filter: [" + strings.Repeat("a,", size/3) + "]}}",
		"long password":  "anti_slashing: {sealed_password: " + strings.Repeat("A", size-100) + "}",
		"huge number":    "custom_network: {genesis_fork_version: 0x" + strings.Repeat("1", size-100) + "}",
		"laughs":         "a: &a [1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n",
		"alias of self":  "a: &a [*a]\n",
		"quoted":         `"` + strings.Repeat(`\u0000`, size/8),
		"block":          "a: |\n" + strings.Repeat(" x\n", size/3-2),
	} {
		t.Run(name, func(t *testing.T) {
			for _, line := range refused(t, Sources{YAML: []byte(text)}) {
				if len(line) > 400 {
					t.Errorf("error line of %d bytes: %.100q…", len(line), line)
				}
			}
		})
	}
}

func FuzzLoadBytes(f *testing.F) {
	for _, seed := range []string{
		least, nitro, "", "network", "a: &a [*a]", "? [a]\n: b", "tee: {egress: [{name: a, host: b, port: 1, vsock_port: 8001}]}",
		"network: !!binary aG9vZGk=\n", "%YAML 1.1\n---\n...\n", "anti_slashing: {url: 'postgres://u:p@h/d?password=x'}",
		customNetwork + "anti_slashing: {backend: noop}\n", "custom_network: {forks: [{name: altair}]}", "http: {experimental: {batch_sign: true}}",
		stateTable, statePostgres, stateSQLite, sealedPostgres, sealedTable, fullYAML(),
		least + "signing: {canary_keys: [0x" + strings.Repeat("ab", 48) + ", 12]}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := LoadBytes(text)
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v and %v, want one of them", c, err)
		}
		if err != nil {
			return
		}
		again, err := LoadBytes(text)
		if err != nil || again.Digest() != c.Digest() {
			t.Fatalf("the second reading differs: %v", err)
		}
		if changes := Diff(c, again); len(changes) > 0 {
			t.Fatalf("differs from itself: %+v", changes)
		}
	})
}
