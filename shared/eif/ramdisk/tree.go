package ramdisk

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Entry is a file that is to be written.
type Entry struct {
	Mode   Mode   // of type Directory, Regular or Symlink
	Body   []byte // of a regular file
	Target string // of a symlink
}

// Tree is the files of an archive by their names. Only a directory has something below it: nothing is ever written through a symlink.
type Tree struct {
	entries map[string]Entry
	bytes   int64 // of all bodies
}

// NewTree makes an empty tree.
func NewTree() *Tree { return &Tree{entries: map[string]Entry{}} }

// Put adds a file, or replaces one. Directories above it that are missing are made, with mode 0755; a directory that is there keeps
// what it holds, and takes the new mode.
func (t *Tree) Put(name string, e Entry) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if err := t.check(name, e); err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	if err := t.makeParents(name); err != nil {
		return err
	}
	if e.Mode.Type() != Directory {
		t.Remove(name)
	} else if old, ok := t.entries[name]; ok && old.Mode.Type() != Directory {
		t.Remove(name)
	}
	t.entries[name] = e
	t.bytes += int64(len(e.Body))
	switch {
	case t.bytes > MaxBytes:
		return fmt.Errorf("%q: all files together have more than %d bytes", name, int64(MaxBytes))
	case len(t.entries) > MaxFiles:
		return fmt.Errorf("%q: more than %d files", name, MaxFiles)
	}
	return nil
}

func (t *Tree) check(name string, e Entry) error {
	switch e.Mode.Type() {
	case Directory, Regular:
		if e.Target != "" || e.Mode.Type() == Directory && e.Body != nil {
			return fmt.Errorf("%v with a target or a body that it cannot have", e.Mode)
		}
	case Symlink:
		return checkTarget(name, e.Target)
	default:
		return fmt.Errorf("%v, want a directory, a regular file or a symlink", e.Mode)
	}
	return nil
}

// makeParents makes sure that everything above a name is a directory.
func (t *Tree) makeParents(name string) error {
	parent := path.Dir(name)
	if parent == "." {
		return nil
	}
	if err := t.makeParents(parent); err != nil {
		return err
	}
	e, ok := t.entries[parent]
	if !ok {
		t.entries[parent] = Entry{Mode: Directory | 0o755}
		return nil
	}
	if e.Mode.Type() != Directory {
		return fmt.Errorf("%q: %q above it is no directory but a %v", name, parent, e.Mode)
	}
	return nil
}

// Get gives the file of this name.
func (t *Tree) Get(name string) (Entry, bool) {
	e, ok := t.entries[name]
	return e, ok
}

// Remove takes out a file, and everything below it.
func (t *Tree) Remove(name string) {
	if e, ok := t.entries[name]; ok {
		t.bytes -= int64(len(e.Body))
		delete(t.entries, name)
		if e.Mode.Type() != Directory {
			return
		}
	}
	t.RemoveBelow(name)
}

// RemoveBelow takes out everything below a directory, which stays.
func (t *Tree) RemoveBelow(name string) {
	for below, e := range t.entries {
		if strings.HasPrefix(below, name+"/") {
			t.bytes -= int64(len(e.Body))
			delete(t.entries, below)
		}
	}
}

// Names are the names of all files in the order of their bytes, in which a directory stands before what it holds.
func (t *Tree) Names() []string { return slices.Sorted(maps.Keys(t.entries)) }

// Graft puts every file of another tree below a directory of this one.
func (t *Tree) Graft(below string, other *Tree) error {
	for _, name := range other.Names() {
		if err := t.Put(path.Join(below, name), other.entries[name]); err != nil {
			return err
		}
	}
	return nil
}
