package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

// TestFileThatIsGone: nothing is recorded in a file that was removed, moved or replaced under a running signer.
func TestFileThatIsGone(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"removed": os.Remove,
		"moved":   func(path string) error { return os.Rename(path, path+".old") },
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "slashing.sqlite")
			s, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := s.Advance(t.Context(), []slashing.Claim{{Vote: slashing.Block{Slot: 1}}}); err != nil {
				t.Fatal(err)
			}
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Advance(t.Context(), []slashing.Claim{{Vote: slashing.Block{Slot: 2}}}); !errors.Is(err, slashing.ErrUnavailable) {
				t.Errorf("a vote: %v", err)
			}
			if err := s.Check(t.Context()); !errors.Is(err, slashing.ErrUnavailable) {
				t.Errorf("check: %v", err)
			}
		})
	}
}
