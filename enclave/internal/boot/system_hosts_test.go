package boot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriteHosts(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "etc", "hosts"), filepath.Join(dir, "etc", "hosts")} { // where none is, and again
		if err := writeHosts(path, []byte("127.0.0.2 db.internal\n")); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff("127.0.0.2 db.internal\n", string(got)); diff != "" {
			t.Error(diff)
		}
	}
	for name, path := range map[string]string{
		"the directory is a file": filepath.Join(dir, "etc", "hosts", "hosts"), "the file is a directory": dir,
	} {
		if err := writeHosts(path, nil); err == nil || !strings.HasPrefix(err.Error(), "write the host names of the routes: ") || !strings.Contains(err.Error(), path[:len(dir)]) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
