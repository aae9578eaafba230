package ramdisk_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

func file(body string) ramdisk.Entry {
	return ramdisk.Entry{Mode: ramdisk.Regular | 0o644, Body: []byte(body)}
}

func link(target string) ramdisk.Entry {
	return ramdisk.Entry{Mode: ramdisk.Symlink | 0o777, Target: target}
}

// tree makes a tree of entries by their names, in the order of the names.
func tree(t testing.TB, entries map[string]ramdisk.Entry) *ramdisk.Tree {
	t.Helper()
	out := ramdisk.NewTree()
	var names []string
	for name := range entries {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := out.Put(name, entries[name]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestPutRefuses(t *testing.T) {
	for _, test := range []struct {
		name  string
		entry ramdisk.Entry
		words string
	}{
		{"", file(""), "not a plain path"},
		{".", file(""), "not a plain path"},
		{"..", file(""), "not a plain path"},
		{"/a", file(""), "not a plain path"},
		{"a/", file(""), "not a plain path"},
		{"a//b", file(""), "not a plain path"},
		{"a/./b", file(""), "not a plain path"},
		{"a/../b", file(""), "not a plain path"},
		{"../a", file(""), "not a plain path"},
		{"a\x00b", file(""), "not a plain path"},
		{strings.Repeat("a", 4096), file(""), "name of 4096 bytes"},
		{"TRAILER!!!", file(""), "ends an archive"},
		{"file/below", file(""), `"file" above it is no directory but a file 0644`},
		{"link/below", file(""), `"link" above it is no directory but a symlink 0777`},
		{"link/far/below", file(""), `"link" above it is no directory`},
		{"a", ramdisk.Entry{Mode: 0o020644}, "character device 0644, want a directory"},
		{"a", ramdisk.Entry{Mode: 0o644}, "type 0 0644, want a directory"},
		{"a", ramdisk.Entry{Mode: ramdisk.Regular, Target: "b"}, "that it cannot have"},
		{"a", ramdisk.Entry{Mode: ramdisk.Directory, Body: []byte("b")}, "that it cannot have"},
		{"a", link(""), "symlink to"},
		{"a", link("b\x00"), "symlink to"},
		{"a", link(".."), `symlink to "..", which is above the root`},
		{"a/b", link("../../c"), "above the root"},
		{"a/b", link("/../c"), "above the root"},
		{"a/b", link("c/../../../d"), "above the root"},
	} {
		into := tree(t, map[string]ramdisk.Entry{"file": file(""), "link": link("file")})
		before := into.Names()
		err := into.Put(test.name, test.entry)
		if err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("Put(%.20q, %v): got %v, want %q", test.name, test.entry.Mode, err, test.words)
		}
		if diff := cmp.Diff(before, into.Names()); diff != "" {
			t.Errorf("Put(%.20q) failed, and changed the tree: %s", test.name, diff)
		}
	}
	for name, target := range map[string]string{"a/b": "../c", "a/b/c": "../../d", "e": "/usr/lib", "f": "g/../h"} {
		if err := ramdisk.NewTree().Put(name, link(target)); err != nil {
			t.Errorf("%s → %s: %v", name, target, err)
		}
	}
}

func TestTree(t *testing.T) {
	into := tree(t, map[string]ramdisk.Entry{"d/e/f": file("1"), "d/g": file("2"), "d-x": file("3"), "top": file("4")})
	steps := []struct {
		do   func() error
		want string
	}{
		{func() error { return nil }, "d d-x d/e d/e/f d/g top"},
		{func() error { return into.Put("d", ramdisk.Entry{Mode: ramdisk.Directory | 0o700}) }, "d d-x d/e d/e/f d/g top"},
		{func() error { into.RemoveBelow("d/e"); return nil }, "d d-x d/e d/g top"},
		{func() error { return into.Put("d", file("now a file")) }, "d d-x top"},
		{func() error { return into.Put("d", ramdisk.Entry{Mode: ramdisk.Directory | 0o755}) }, "d d-x top"},
		{func() error { return into.Put("d/h", file("")) }, "d d-x d/h top"},
		{func() error { into.Remove("d"); into.Remove("not there"); return nil }, "d-x top"},
		{func() error { into.RemoveBelow("not/there"); into.Remove(""); into.Remove("d-x/"); return nil }, "d-x top"},
		{func() error { return into.Graft("below/here", tree(t, map[string]ramdisk.Entry{"i/j": link("k")})) }, "below below/here below/here/i below/here/i/j d-x top"},
		{func() error { into.RemoveBelow(""); return nil }, ""},
	}
	for i, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if diff := cmp.Diff(strings.Fields(step.want), into.Names(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
	}
}

func TestCheckAbove(t *testing.T) {
	into := tree(t, map[string]ramdisk.Entry{"d/l": link("e"), "d/e/f": file("")})
	for name, words := range map[string]string{
		"d": "", "d/l": "", "d/e/f": "", "none/at/all": "", "d/none/x": "",
		"d/l/f": `"d/l" above it is no directory but a symlink 0777`, "d/e/f/x/y": `"d/e/f" above it is no directory but a file 0644`,
	} {
		if err := into.CheckAbove(name); (err == nil) != (words == "") || err != nil && !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v, want %q", name, err, words)
		}
	}
}

// TestTreeIsBounded fills trees up to their limits, which takes hours if each file asks for all others; and what was removed no longer counts.
func TestTreeIsBounded(t *testing.T) {
	put := func(into *ramdisk.Tree, name string, e ramdisk.Entry) {
		t.Helper()
		if err := into.Put(name, e); err != nil {
			t.Fatal(err)
		}
	}
	full := ramdisk.NewTree()
	put(full, "d", ramdisk.Entry{Mode: ramdisk.Directory | 0o755})
	for i := range ramdisk.MaxFiles - 1 {
		put(full, fmt.Sprint("d/", i), file("x"))
	}
	if err := full.Put("d/more", file("x")); err == nil || !strings.Contains(err.Error(), `"d/more": more than 262144 files`) {
		t.Errorf("files: %v", err)
	}
	long, target, err := ramdisk.NewTree(), strings.Repeat("t", 4095), error(nil)
	for i := 0; i < 1<<15 && err == nil; i++ {
		err = long.Put(fmt.Sprint(i), link(target))
	}
	if err == nil || !strings.Contains(err.Error(), "all names together have more than 67108864 bytes") {
		t.Errorf("names: %v", err)
	}
	for i := range ramdisk.MaxFiles {
		full.Remove(fmt.Sprint("not there/", i))
	}
	for _, into := range []*ramdisk.Tree{full, long} {
		into.RemoveBelow("")
		put(into, "d/again", file("1234"))
		put(into, "d/again", file("12"))
		if got := into.Left(); got != ramdisk.MaxBytes-2 {
			t.Errorf("%d bytes are left", got)
		}
	}
}
