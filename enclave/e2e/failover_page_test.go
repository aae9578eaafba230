package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page is a page of the documentation whose commands are run.
type page struct {
	name   string
	blocks []block
}

// block is what stands between ```sh and ```.
type block struct {
	heading, commands string
	ran               bool
}

// parts finds headings, and whatever is fenced, so that a comment in there is no heading.
var parts = regexp.MustCompile("(?ms)^#+ ([^\n]+)$|^```(\\w*)\n(.*?)^```$")

func readPage(t *testing.T, name string) *page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	p, heading := &page{name: name}, ""
	for _, m := range parts.FindAllStringSubmatch(string(text), -1) {
		if m[1] != "" {
			heading = m[1]
		} else if m[2] == "sh" {
			p.blocks = append(p.blocks, block{heading: heading, commands: m[3]})
		}
	}
	return p
}

// checkAllRan fails for commands that the tests passed over.
func (p *page) checkAllRan(t *testing.T) {
	t.Helper()
	if len(p.blocks) == 0 {
		t.Errorf("docs/%s has no commands", p.name)
	}
	for _, b := range p.blocks {
		if !b.ran {
			t.Errorf("docs/%s, %q: never run:\n%s", p.name, b.heading, b.commands)
		}
	}
}

// prompt is where commands are typed in: a directory with config.yaml.
type prompt struct {
	*page

	dir string
	env []string // what the page leaves to its reader
}

// step is the commands below a heading that begin with a text.
type step struct{ heading, begin string }

// run runs steps of the page in one shell, as they stand there, and returns what they wrote.
func (p prompt) run(t *testing.T, steps ...step) string {
	t.Helper()
	var commands strings.Builder
	for _, s := range steps {
		i := slices.IndexFunc(p.blocks, func(b block) bool { return b.heading == s.heading && strings.HasPrefix(b.commands, s.begin) })
		if i < 0 {
			t.Fatalf("docs/%s, %q: no commands that begin with %q", p.name, s.heading, s.begin)
		}
		commands.WriteString(p.blocks[i].commands)
		p.blocks[i].ran = true
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eux", "-c", commands.String())
	cmd.Dir = p.dir
	cmd.Env = environment(append(p.env, "PATH="+binaries+string(os.PathListSeparator)+os.Getenv("PATH"))...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("docs/%s, %v: %v\n%s", p.name, steps, err, out)
	}
	return string(out)
}
