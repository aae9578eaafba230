package ramdisk_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

func TestCompare(t *testing.T) {
	reg := func(name string, size int64, sum byte) ramdisk.File {
		return ramdisk.File{Name: name, Mode: ramdisk.Regular | 0o644, Size: size, SHA256: [32]byte{sum}}
	}
	x, y := "sha256:01"+noughts, "sha256:02"+noughts
	moved := reg("owned", 1, 1)
	moved.UID, moved.Modified, moved.Mode = 7, 9, ramdisk.Regular|0o755
	sym := func(target string) ramdisk.File {
		return ramdisk.File{Name: "link", Mode: ramdisk.Symlink | 0o777, Size: int64(len(target)), Target: target}
	}
	got := ramdisk.Compare(
		[]ramdisk.File{reg("same", 1, 1), reg("gone", 1, 1), reg("content", 1, 1), reg("owned", 1, 1), sym("a"), reg("type", 1, 1)},
		[]ramdisk.File{sym("b"), reg("same", 1, 1), reg("content", 2, 2), reg("new", 2, 2), moved, {Name: "type", Mode: ramdisk.Directory | 0o755}},
	)
	if diff := cmp.Diff([]ramdisk.Change{
		{"content", "changed", []string{"size 1 → 2", "content " + x + " → " + y}},
		{"gone", "removed", []string{"mode file 0644", "size 1", "content " + x}},
		{"link", "changed", []string{`target "a" → "b"`}},
		{"new", "added", []string{"mode file 0644", "size 2", "content " + y}},
		{"owned", "changed", []string{"mode file 0644 → file 0755", "owner 0:0 → 7:0", "time 0 → 9"}},
		{"type", "changed", []string{"mode file 0644 → directory 0755"}},
	}, got); diff != "" {
		t.Error(diff)
	}
}

var noughts = strings.Repeat("0", 62)
