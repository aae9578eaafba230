package ramdisk

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// The format newc (Linux, Documentation/driver-api/early-userspace/buffer-format.rst): before each file a magic number and thirteen
// numbers of eight hexadecimal digits, then the name; name and body are filled with zeros up to a multiple of four bytes.
const (
	magic      = "070701"
	fields     = 13
	headSize   = len(magic) + 8*fields
	trailer    = "TRAILER!!!"
	alignment  = 4
	blockBytes = 512 // an archive is filled up to a multiple of it, so that another one may follow
)

// Write writes an archive whose bytes depend on nothing but the tree: files in the order of their names, numbered from 1, all of user
// and group 0, all of the first second of 1970, each with one link.
func Write(w io.Writer, t *Tree) error {
	out := &archive{w: bufio.NewWriter(w)}
	for _, name := range t.Names() {
		e := t.find(name).Entry
		body := string(e.Body)
		if e.Mode.Type() == Symlink {
			body = e.Target
		}
		out.number++
		if err := out.file(name, e.Mode, out.number, body); err != nil {
			return fmt.Errorf("write ramdisk: %q: %w", name, err)
		}
	}
	if err := out.file(trailer, 0, 0, ""); err != nil {
		return fmt.Errorf("write ramdisk: %w", err)
	}
	if err := out.fill(blockBytes); err != nil {
		return fmt.Errorf("write ramdisk: %w", err)
	}
	if err := out.w.Flush(); err != nil {
		return fmt.Errorf("write ramdisk: %w", err)
	}
	return nil
}

// archive is one that is being written.
type archive struct {
	w       *bufio.Writer
	written int64
	number  int // of the last file
}

func (a *archive) file(name string, mode Mode, number int, body string) error {
	// In the format's order: inode, mode, uid, gid, links, mtime, size, device of the file system, device of the file, length of
	// the name with its zero, and a sum that this variant does not have.
	head := magic
	for _, field := range [fields]int{number, int(mode), 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(name) + 1, 0} {
		head += fmt.Sprintf("%08x", field)
	}
	if err := a.put(head + name + "\x00"); err != nil {
		return err
	}
	if err := a.fill(alignment); err != nil {
		return err
	}
	if err := a.put(body); err != nil {
		return err
	}
	return a.fill(alignment)
}

func (a *archive) put(s string) error {
	n, err := a.w.WriteString(s)
	a.written += int64(n)
	return err
}

// fill writes zeros up to a multiple.
func (a *archive) fill(multiple int64) error {
	return a.put(strings.Repeat("\x00", int(padding(a.written, multiple))))
}

// padding is how many bytes are missing to a multiple.
func padding(n, multiple int64) int64 { return (multiple - n%multiple) % multiple }
