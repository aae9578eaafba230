package ramdisk_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

// makeFiles makes the same files in a directory, with other permissions, times and order of making.
func makeFiles(t *testing.T, dir string, private bool, when time.Time) {
	t.Helper()
	files, execute := []string{"bin/program", "etc/hosts", "etc/a/b"}, os.FileMode(0o755)
	keep := os.FileMode(0o777)
	if private {
		keep = 0o700
		files = []string{"etc/a/b", "etc/hosts", "bin/program"}
	}
	for _, name := range files {
		path := filepath.Join(dir, name)
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "bin/") {
			mode = execute
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755&keep); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), mode&keep); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../etc/hosts", filepath.Join(dir, "bin/link")); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 && private {
		if err := os.Chown(filepath.Join(dir, "etc/hosts"), 1234, 1234); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFromDirectoryDependsOnContentAlone(t *testing.T) {
	first, second := t.TempDir(), filepath.Join(t.TempDir(), "of another name")
	if err := os.Mkdir(second, 0o700); err != nil {
		t.Fatal(err)
	}
	makeFiles(t, first, false, time.Unix(1e9, 0))
	makeFiles(t, second, true, time.Unix(2e9, 0))
	var got [2][]byte
	for i, dir := range []string{first, second} {
		from, err := ramdisk.FromDirectory(dir)
		if err != nil {
			t.Fatal(err)
		}
		got[i] = written(t, from)
	}
	if !bytes.Equal(got[0], got[1]) {
		t.Error("the same files gave other bytes")
	}
	for _, name := range []string{"bin/link\x00", "../etc/hosts", "etc/a/b\x00", "000081ed"} {
		if !bytes.Contains(got[0], []byte(name)) {
			t.Errorf("%q is not in the archive", name)
		}
	}
}

func TestFromDirectoryRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ramdisk.FromDirectory(dir); err == nil || !strings.Contains(err.Error(), `"pipe": p---------, want a directory`) {
		t.Errorf("fifo: %v", err)
	}
	dir = t.TempDir()
	if err := os.Symlink("../../etc", filepath.Join(dir, "escape")); err != nil {
		t.Fatal(err)
	}
	if _, err := ramdisk.FromDirectory(dir); err == nil || !strings.Contains(err.Error(), "above the root") {
		t.Errorf("symlink: %v", err)
	}
	if _, err := ramdisk.FromDirectory(filepath.Join(dir, "none")); err == nil {
		t.Error("no directory, and no error")
	}
}
