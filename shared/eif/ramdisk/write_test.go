package ramdisk_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

// part is one file of an archive, written without the package that is tested.
type part struct {
	magic                  string // 070701 if empty
	ino, mode, links, size int    // size: the length of the body if it is 0
	name, body             string
	nameSize               int // its length and one if it is 0
}

func (p part) bytes() string {
	magic, size, nameSize, links := "070701", len(p.body), len(p.name)+1, 1
	if p.magic != "" {
		magic = p.magic
	}
	if p.size != 0 {
		size = p.size
	}
	if p.nameSize != 0 {
		nameSize = p.nameSize
	}
	if p.links != 0 {
		links = p.links
	}
	out := magic
	for _, n := range []int{p.ino, p.mode, 0, 0, links, 0, size, 0, 0, 0, 0, nameSize, 0} {
		out += fmt.Sprintf("%08x", n)
	}
	return filled(filled(out+p.name+"\x00", 4)+p.body, 4)
}

// filled adds zeros up to a multiple.
func filled(s string, multiple int) string {
	for len(s)%multiple != 0 {
		s += "\x00"
	}
	return s
}

var end = part{name: "TRAILER!!!"}

func archive(parts ...part) string {
	out := ""
	for _, p := range append(parts, end) {
		out += p.bytes()
	}
	return out
}

func written(t testing.TB, from *ramdisk.Tree) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := ramdisk.Write(&out, from); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestWrite(t *testing.T) {
	from := tree(t, map[string]ramdisk.Entry{"init": {Mode: ramdisk.Regular | 0o755, Body: []byte("hello")}, "d/l": link("../init"), "d-": file("")})
	want := filled(archive(
		part{ino: 1, mode: 0o040755, name: "d"},
		part{ino: 2, mode: 0o100644, name: "d-"},
		part{ino: 3, mode: 0o120777, name: "d/l", body: "../init"},
		part{ino: 4, mode: 0o100755, name: "init", body: "hello"},
	), 512)
	got := written(t, from)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	files, err := ramdisk.Read(bytes.NewReader(got))
	if err != nil {
		t.Fatal(err)
	}
	empty := sha256.Sum256(nil)
	if diff := cmp.Diff([]ramdisk.File{
		{Name: "d", Mode: ramdisk.Directory | 0o755, SHA256: empty},
		{Name: "d-", Mode: ramdisk.Regular | 0o644, SHA256: empty},
		{Name: "d/l", Mode: ramdisk.Symlink | 0o777, Size: 7, Target: "../init"},
		{Name: "init", Mode: ramdisk.Regular | 0o755, Size: 5, SHA256: sha256.Sum256([]byte("hello"))},
	}, files); diff != "" {
		t.Error(diff)
	}
}

// full takes a number of bytes, and fails then.
type full struct{ left int }

func (w *full) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("full")
	}
	return len(p), nil
}

func TestWriteTellsOfAFullDisk(t *testing.T) {
	from := tree(t, map[string]ramdisk.Entry{"a": file(strings.Repeat("a", 1<<16)), "b": file(strings.Repeat("b", 1<<16))})
	size := len(written(t, from))
	for _, left := range []int{0, 1 << 15, 1<<16 + 300, size - 1} {
		if err := ramdisk.Write(&full{left}, from); err == nil || !strings.Contains(err.Error(), "full") {
			t.Errorf("room for %d of %d bytes: %v", left, size, err)
		}
	}
	if err := ramdisk.Write(&full{size}, from); err != nil {
		t.Error(err)
	}
}

func zipped(t testing.TB, s string) string {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write([]byte(s))
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
