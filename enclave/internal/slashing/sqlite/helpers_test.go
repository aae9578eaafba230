package sqlite_test

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// closed leaves an empty slashing database behind.
func closed(t *testing.T, path string) {
	t.Helper()
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
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

// onRecord is the slot of each key's block.
func onRecord(t *testing.T, s *sqlite.Store) string {
	t.Helper()
	var records []string
	err := s.Each(t.Context(), func(r slashing.Record) error {
		records = append(records, fmt.Sprintf("%d:%d", r.Key[0], r.Block.Slot))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return strings.Join(records, " ")
}

func checkRecorded(t *testing.T, s *sqlite.Store, claims []slashing.Claim) {
	t.Helper()
	outcomes, err := s.Advance(t.Context(), claims)
	if err != nil || len(outcomes) != len(claims) {
		t.Fatalf("%d outcomes for %d claims, %v", len(outcomes), len(claims), err)
	}
	for i, claim := range claims {
		if o := outcomes[i]; !o.Permits(claim.Vote) {
			t.Errorf("claim %d: %+v", i, o)
		}
	}
}

// otherProcess says what becomes of another process that opens a store.
func otherProcess(t *testing.T, path string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), exe)
	child.Env = append(os.Environ(), childEnv+"="+path)
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
