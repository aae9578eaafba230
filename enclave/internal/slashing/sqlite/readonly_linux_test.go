package sqlite_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

// nobody is a user id that owns no file.
const nobody = 65534

// asNobody runs f without the superuser's right to write everywhere, which the test may have.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread() // the file system's user id is the thread's
	defer runtime.UnlockOSThread()
	if os.Geteuid() == 0 {
		if err := unix.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := unix.Setfsuid(0); err != nil {
				t.Fatal(err)
			}
		}()
	}
	f()
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestReadOnly(t *testing.T) {
	for _, tc := range []struct {
		name            string
		fileMode, where os.FileMode
		words           string
	}{
		{"file", 0o444, 0o777, "the file and its directory must be readable and writable"},
		{"file that cannot be read either", 0, 0o777, "the file and its directory must be readable and writable"},
		{"directory", 0o666, 0o555, "the file and its directory must be readable and writable"},
		{"directory that cannot be entered", 0o666, 0o600, "permission denied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "s.sqlite")
			closed(t, path)
			chmod(t, filepath.Dir(dir), 0o755)
			chmod(t, path, tc.fileMode)
			chmod(t, dir, tc.where)
			defer chmod(t, dir, 0o755)
			asNobody(t, func() {
				s, err := sqlite.Open(t.Context(), path)
				if err == nil {
					_ = s.Close()
					t.Fatal("opened")
				}
				if text := err.Error(); !strings.Contains(text, path) || !strings.Contains(text, tc.words) {
					t.Errorf("error %q, want the path and %q", text, tc.words)
				}
			})
		})
	}
}
