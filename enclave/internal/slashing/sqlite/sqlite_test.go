package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// childEnv makes this test binary a second process: it names the database that the process opens.
const childEnv = "SQLITE_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		_, err := sqlite.Open(context.Background(), path)
		fmt.Fprintln(os.Stdout, "opened:", err)
		return
	}
	goleak.VerifyTestMain(m)
}

// TestSecondProcessIsRefused: as long as the first lives.
func TestSecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sqlite")
	first := open(t, path)
	if s, err := sqlite.Open(t.Context(), path); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("opened again in this process: %v, %v", s, err)
	}
	if got := otherProcess(t, path); !strings.Contains(got, "slashing database "+path+": in use by another process; only one signer may open it") {
		t.Errorf("the second process says %q", got)
	}
	vote := slashing.Block{Slot: 1}
	if outcomes, err := first.Advance(t.Context(), []slashing.Claim{{Vote: vote}}); err != nil || outcomes[0].Standing != vote {
		t.Errorf("the first process: %v, %v", outcomes, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if got := otherProcess(t, path); got != "opened: <nil>\n" {
		t.Errorf("after the first has closed, the second says %q", got)
	}
}

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestContract(t *testing.T) {
	fresh := func(t *testing.T) storetest.Place {
		path := filepath.Join(t.TempDir(), "a file with % and ?.sqlite")
		return storetest.Place{Open: func() slashing.Store { return open(t, path) }}
	}
	storetest.Run(t, fresh)
	storetest.RunLedger(t, fresh)
}

func TestFilesAreForTheOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "slashing.sqlite")
	closed(t, path)
	s := open(t, path) // again: of a file that is there, SQLite would share the index of the WAL, were it not locked first
	if _, err := s.Advance(t.Context(), []slashing.Claim{{Vote: slashing.Block{Slot: 1}}}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := ""
	for _, e := range entries {
		names += e.Name() + " "
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", e.Name(), mode)
		}
	}
	if names != "slashing.sqlite slashing.sqlite-wal " {
		t.Errorf("files: %s", names)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tc := range []struct {
		name  string
		at    string // below the test's directory
		setup func(t *testing.T, path string)
		is    error
		words string
	}{
		{"missing directory", "nowhere/s.sqlite", nil, os.ErrNotExist, "no such file or directory"},
		{"a directory", "", nil, nil, "it is not a regular file"},
		{"file as directory", "s.sqlite/s.sqlite", func(t *testing.T, path string) {
			write(t, filepath.Dir(path), "x")
		}, nil, "not a directory"},
		{"not a database", "s.sqlite", func(t *testing.T, path string) {
			write(t, path, strings.Repeat("no database at all", 100))
		}, nil, "the file is not an SQLite database"},
		{"somebody else's database", "s.sqlite", func(t *testing.T, path string) {
			execute(t, path, "CREATE TABLE cats (name TEXT)")
		}, sqlite.ErrSchema, "it is not a slashing database"},
		{"schema without version", "s.sqlite", func(t *testing.T, path string) {
			closed(t, path)
			execute(t, path, "DELETE FROM meta")
		}, sqlite.ErrSchema, "it is not a slashing database"},
		{"schema from the future", "s.sqlite", func(t *testing.T, path string) {
			closed(t, path)
			execute(t, path, "UPDATE meta SET value = '99' WHERE name = 'schema_version'")
		}, sqlite.ErrSchema, "it is of version 99, this release knows version 1"},
		{"open already", "s.sqlite", func(t *testing.T, path string) { open(t, path) }, sqlite.ErrInUse, "only one signer may open it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), tc.at)
			if tc.setup != nil {
				tc.setup(t, path)
			}
			s, err := sqlite.Open(t.Context(), path)
			if err == nil {
				_ = s.Close()
				t.Fatal("opened")
			}
			if s != nil {
				t.Error("an error and a store")
			}
			if text := err.Error(); !strings.Contains(text, "slashing database "+path+": ") || !strings.Contains(text, tc.words) {
				t.Errorf("error %q, want the path and %q", text, tc.words)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("error %q, want %v", err, tc.is)
			}
		})
	}
}

// TestHighWatermarkAboveAllHeights: what the database cannot count to limits nothing.
func TestHighWatermarkAboveAllHeights(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "s.sqlite"))
	for set, want := range map[slashing.HighWatermark]slashing.HighWatermark{
		{Slot: math.MaxUint64, Epoch: 5}:              {Slot: slashing.MaxHeight, Epoch: 5},
		{Slot: 6, Epoch: slashing.MaxHeight + 1}:      {Slot: 6, Epoch: slashing.MaxHeight},
		{Slot: math.MaxUint64, Epoch: math.MaxUint64}: slashing.NoHighWatermark(),
	} {
		if err := s.SetHighWatermark(t.Context(), nil, set); err != nil {
			t.Fatal(err)
		}
		if got, err := s.HighWatermark(t.Context()); err != nil || got != want {
			t.Errorf("%+v was set, %+v is, want %+v (%v)", set, got, want, err)
		}
	}
}
