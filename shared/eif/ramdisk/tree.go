package ramdisk

import (
	"fmt"
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
	root  node // which has no name and is no file of the archive
	files int
	bytes int64 // of all bodies
	names int   // bytes of all names and targets
}

// node is a file and, of a directory, what it holds by the last elements of the names.
type node struct {
	Entry

	below map[string]*node
}

// NewTree makes an empty tree.
func NewTree() *Tree { return &Tree{} }

// Put adds a file, or replaces one. Directories above it that are missing are made, with mode 0755; a directory that is there keeps
// what it holds, and takes the new mode.
func (t *Tree) Put(name string, e Entry) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if err := t.check(name, e); err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	if err := t.CheckAbove(name); err != nil {
		return err
	}
	parent := &t.root
	for i, c := range name {
		if c == '/' {
			parent = t.directory(parent, name[:i])
		}
	}
	if old := parent.below[path.Base(name)]; old != nil && old.Mode.Type() == Directory && e.Mode.Type() == Directory {
		old.Entry = e
		return nil
	}
	t.Remove(name)
	t.add(parent, name, e)
	switch {
	case t.bytes > MaxBytes:
		return fmt.Errorf("%q: all files together have more than %d bytes", name, int64(MaxBytes))
	case t.files > MaxFiles:
		return fmt.Errorf("%q: more than %d files", name, MaxFiles)
	case t.names > maxNames:
		return fmt.Errorf("%q: all names together have more than %d bytes", name, maxNames)
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

// CheckAbove refuses a name if anything above it is in the tree and is no directory: whoever follows symlinks finds another file there.
func (t *Tree) CheckAbove(name string) error {
	n := &t.root
	for i, c := range name {
		if c != '/' {
			continue
		}
		above := name[:i]
		if n = n.below[path.Base(above)]; n == nil {
			return nil
		}
		if n.Mode.Type() != Directory {
			return fmt.Errorf("%q: %q above it is no directory but a %v", name, above, n.Mode)
		}
	}
	return nil
}

// directory gives the directory of this name, which is made if it is missing.
func (t *Tree) directory(parent *node, name string) *node {
	if n := parent.below[path.Base(name)]; n != nil {
		return n
	}
	return t.add(parent, name, Entry{Mode: Directory | 0o755})
}

func (t *Tree) add(parent *node, name string, e Entry) *node {
	n := &node{Entry: e}
	if parent.below == nil {
		parent.below = map[string]*node{}
	}
	parent.below[path.Base(name)] = n
	t.files++
	t.bytes += int64(len(e.Body))
	t.names += len(name) + len(e.Target)
	return n
}

// find gives the node of a name, that of the root for "", or nil.
func (t *Tree) find(name string) *node {
	n := &t.root
	if name == "" {
		return n
	}
	for element := range strings.SplitSeq(name, "/") {
		if n = n.below[element]; n == nil {
			return nil
		}
	}
	return n
}

// Get gives the file of this name.
func (t *Tree) Get(name string) (Entry, bool) {
	n := t.find(name)
	if n == nil || name == "" {
		return Entry{}, false
	}
	return n.Entry, true
}

// Left is how many bytes the bodies of further files may have.
func (t *Tree) Left() int64 { return MaxBytes - t.bytes }

// Remove takes out a file, and everything below it.
func (t *Tree) Remove(name string) {
	dir, base := path.Split(name)
	if n := t.find(strings.TrimSuffix(dir, "/")); n != nil && n.below[base] != nil {
		t.cut(n, base, name)
	}
}

// RemoveBelow takes out everything below a directory, which stays; "" is the root.
func (t *Tree) RemoveBelow(name string) {
	if n := t.find(name); n != nil {
		t.empty(n, name)
	}
}

func (t *Tree) empty(dir *node, name string) {
	for base := range dir.below {
		t.cut(dir, base, path.Join(name, base))
	}
}

// cut takes out a file of this name from its directory.
func (t *Tree) cut(dir *node, base, name string) {
	n := dir.below[base]
	t.empty(n, name)
	delete(dir.below, base)
	t.files--
	t.bytes -= int64(len(n.Body))
	t.names -= len(name) + len(n.Target)
}

// Names are the names of all files in the order of their bytes, in which a directory stands before what it holds.
func (t *Tree) Names() []string {
	out := t.root.names(nil, "")
	slices.Sort(out)
	return out
}

func (n *node) names(out []string, name string) []string {
	for base, child := range n.below {
		below := path.Join(name, base)
		out = child.names(append(out, below), below)
	}
	return out
}

// Graft puts every file of another tree below a directory of this one.
func (t *Tree) Graft(below string, other *Tree) error {
	for _, name := range other.Names() {
		if err := t.Put(path.Join(below, name), other.find(name).Entry); err != nil {
			return err
		}
	}
	return nil
}
