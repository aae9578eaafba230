package architecture

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// maxLines is what a reader can take in at once, tests included.
const maxLines = 400

func TestFilesAreShort(t *testing.T) {
	for _, s := range tree(t) {
		if s.lines > maxLines {
			t.Errorf("%s has %d lines, more than %d: split it by idea", s.path, s.lines, maxLines)
		}
	}
}

func TestPackagesSayWhatTheyDo(t *testing.T) {
	docs := map[string][]string{} // directory → package comments
	names := map[string]string{}
	for _, s := range tree(t) {
		if s.test {
			continue
		}
		names[s.dir] = s.ast.Name.Name
		if s.ast.Doc != nil {
			docs[s.dir] = append(docs[s.dir], s.ast.Doc.Text())
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(names)) {
		begin := "Package " + names[dir] + " "
		if names[dir] == "main" {
			begin = "Command " + path.Base(dir) + " "
		}
		switch doc := docs[dir]; {
		case len(doc) != 1:
			t.Errorf("%s has %d package comments, want one", dir, len(doc))
		case !strings.HasPrefix(doc[0], begin):
			t.Errorf("%s: the package comment does not begin with %q", dir, begin)
		}
	}
}

// A name that says nothing collects everything.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "lib", "base"}

func TestPackagesAreNamed(t *testing.T) {
	for _, s := range tree(t) {
		for _, element := range strings.Split(s.dir, "/") {
			if slices.Contains(emptyNames, element) {
				t.Errorf("%s: a package called %s does not say what it is for", s.path, element)
			}
		}
	}
}
