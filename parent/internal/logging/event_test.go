package logging

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEventsAreDocumented: the names in event.go are those of the table in docs/parent.md, in its order.
func TestEventsAreDocumented(t *testing.T) {
	source, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "parent.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := func(pattern string, text []byte) (out []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
			out = append(out, string(m[1]))
		}
		return out
	}
	events := names(`Event = "(\w+)"`, source)
	if len(events) == 0 {
		t.Fatal("event.go names no event")
	}
	if diff := cmp.Diff(events, names("(?m)^\\| `(\\w+)` \\| \\w+ \\|", page)); diff != "" {
		t.Errorf("-event.go +docs/parent.md:\n%s", diff)
	}
}
