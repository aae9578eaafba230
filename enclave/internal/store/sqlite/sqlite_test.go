package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/sqlite"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	storetest.RunState(t, func(t *testing.T) func() store.State {
		path := filepath.Join(t.TempDir(), "a file with % and ?.sqlite")
		return func() store.State {
			s, err := sqlite.OpenState(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
	storetest.RunKeys(t, func(t *testing.T) func() store.Keys {
		path := filepath.Join(t.TempDir(), "keys.sqlite")
		return func() store.Keys { return open(t, path) }
	})
}

func open(t testing.TB, path string) *sqlite.Keys {
	t.Helper()
	k, err := sqlite.OpenKeys(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestFilesAreForTheOwnerAlone: state and keys in one file, open at once.
func TestFilesAreForTheOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s.sqlite")
	s, err := sqlite.OpenState(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	k := open(t, path)
	defer k.Close()
	if err := errors.Join(s.Put(t.Context(), store.Item{Name: "i", Version: 1}),
		k.Put(t.Context(), store.Key{Version: 1, Status: store.Active})); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("files %v, %v, want 3", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, %v, want 600", e.Name(), info.Mode().Perm(), err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, at, words string
		setup           func(t *testing.T, path string)
	}{
		{"missing directory", "nowhere/s.sqlite", "no such file or directory", nil},
		{"a directory", "", "it is not a regular file", nil},
		{"not a database", "s.sqlite", "it is not an SQLite database", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("no database at all", 100)), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"somebody else's database", "s.sqlite", "it is another program's database", func(t *testing.T, path string) {
			execute(t, path, "CREATE TABLE cats (name TEXT)")
		}},
		{"from the future", "s.sqlite", "its tables are of version 9, this release knows 1", func(t *testing.T, path string) {
			_ = open(t, path).Close()
			execute(t, path, "INSERT INTO containment_state_migrations (version) VALUES (9)")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), tc.at)
			if tc.setup != nil {
				tc.setup(t, path)
			}
			_, err := sqlite.OpenKeys(t.Context(), path)
			if !errors.Is(err, store.ErrShape) || !strings.Contains(err.Error(), "keys database "+path) || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("%v, want the path and %q", err, tc.words)
			}
		})
	}
}

// execute changes a database behind the store's back.
func execute(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkLoad loads 10,000 keys.
func BenchmarkLoad(b *testing.B) {
	k := open(b, filepath.Join(b.TempDir(), "s.sqlite"))
	defer k.Close()
	storetest.BenchmarkLoad(b, k)
}
