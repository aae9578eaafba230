package manual

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
)

const (
	committed  = "../../../../config.example.yaml"
	regenerate = "go run ./cmd/containment-chamber config example > ../config.example.yaml # in enclave/"
)

func example(t *testing.T) string {
	t.Helper()
	text, err := Example()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestCommittedExampleIsCurrent(t *testing.T) {
	got, err := os.ReadFile(committed)
	if err != nil {
		t.Fatalf("%v; make it with: %s", err, regenerate)
	}
	if diff := cmp.Diff(example(t), string(got)); diff != "" {
		t.Fatalf("config.example.yaml is not current; make it with: %s\n(-want +got):\n%s", regenerate, diff)
	}
}

func TestExampleLoads(t *testing.T) {
	c, err := config.LoadBytes([]byte(example(t)))
	if err != nil {
		t.Fatal(err)
	}
	if c.Network != "hoodi" || c.AntiSlashing.Backend != "sqlite" || len(c.Warnings()) > 0 {
		t.Errorf("got %+v, warnings %q", c, c.Warnings())
	}
}

// TestCommentedKeysLoad takes the mark away from every key, and calls the network custom, because its section is there too. All of
// them together contradict the rules of platform none nowhere, so the whole file loads, and nothing but the store's URL is unused.
func TestCommentedKeysLoad(t *testing.T) {
	all := regexp.MustCompile(`(?m)^( *)#(\S|  )`).ReplaceAllString(example(t), "$1$2")
	all = strings.Replace(all, "\nnetwork: hoodi\n", "\nnetwork: custom\n", 1)
	all = regexp.MustCompile(`(?s)(\n +backup:\n.*?enabled: )false`).ReplaceAllString(all, "${1}true") // which its recipients go with
	c, err := config.LoadBytes([]byte(all))
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, all)
	}
	if len(c.CustomNetwork.Forks) != 1 || len(c.Signing.CanaryKeys) != 1 {
		t.Errorf("got %+v", c)
	}
	if len(c.TEE.Egress) != 1 || c.SignerState.Backend != "dynamodb" || len(c.KeySources.Filesystem.Paths) != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestEveryKeyIsThere(t *testing.T) {
	text := example(t)
	for _, k := range config.Keys() {
		last := k.Name[strings.LastIndexByte(k.Name, '.')+1:]
		if !regexp.MustCompile(`(?m)^ *#?` + last + `:`).MatchString(text) {
			t.Errorf("%s is missing", k.Name)
		}
	}
}

// TestEveryCommentSaysEnough holds the manual to its promise: unit and zero of each number, and who is trusted.
func TestEveryCommentSaysEnough(t *testing.T) {
	w, err := newWriter()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range config.Keys() {
		comment := w.comments[k.Struct+"."+k.Field]
		if !strings.Contains(comment, "\nTrust: ") {
			t.Errorf("%s does not say who is trusted:\n%s", k.Name, comment)
		}
		if k.Kind == config.Number && !strings.Contains(comment, "Zero") {
			t.Errorf("%s does not say what zero means:\n%s", k.Name, comment)
		}
		if (k.Kind == config.Texts || k.Kind == config.Entries) && !strings.Contains(comment, "An empty list") {
			t.Errorf("%s does not say what an empty list means:\n%s", k.Name, comment)
		}
		if optional(k) && !strings.Contains(comment, "mpty") {
			t.Errorf("%s does not say what the empty text means:\n%s", k.Name, comment)
		}
		if k.Unit != 0 && !strings.Contains(strings.ToLower(comment), "seconds ") {
			t.Errorf("%s does not say its unit:\n%s", k.Name, comment)
		}
		if k.Measured != strings.Contains(comment, "Trust: measured") {
			t.Errorf("%s: the comment does not agree with the tag about being measured:\n%s", k.Name, comment)
		}
	}
}

// optional are the texts of the master key and its state that may be left away.
func optional(k config.Key) bool {
	section, _, _ := strings.Cut(k.Name, ".")
	return k.Kind == config.Text && k.Default == "" && slices.Contains([]string{"chamber", "key_sources", "signer_state"}, section)
}
