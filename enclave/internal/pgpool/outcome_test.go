package pgpool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgpool"
)

// TestRolledBack: only a server that has rolled back says that nothing was done. Of all else nobody knows.
func TestRolledBack(t *testing.T) {
	said := func(severity, unlocalized, code string) error {
		return fmt.Errorf("commit: %w", &pgconn.PgError{Severity: severity, SeverityUnlocalized: unlocalized, Code: code})
	}
	for _, tc := range []struct {
		name string
		err  error
		want bool
	}{
		{"a trigger's", said("ERROR", "ERROR", "P0001"), true},
		{"disk full", said("ERROR", "ERROR", "53100"), true},
		{"query canceled", said("ERROR", "ERROR", "57014"), true},
		{"serialization failure", said("ERROR", "ERROR", "40001"), true},
		{"in another language", said("FEHLER", "ERROR", "P0001"), true},
		{"of an old server", said("ERROR", "", "P0001"), true},
		{"a commit that was a rollback", fmt.Errorf("commit: %w", pgx.ErrTxCommitRollback), true},
		{"no error", nil, false},
		{"fatal", said("FATAL", "FATAL", "P0001"), false},
		{"fatal, in a language that calls it error", said("ERROR", "FATAL", "P0001"), false},
		{"panic", said("PANIC", "PANIC", "P0001"), false},
		{"a warning", said("WARNING", "WARNING", "P0001"), false},
		{"in another language, of an old server", said("FEHLER", "", "P0001"), false},
		{"connection exception", said("ERROR", "ERROR", "08000"), false},
		{"connection failure", said("ERROR", "ERROR", "08006"), false},
		{"admin shutdown", said("ERROR", "ERROR", "57P01"), false},
		{"crash shutdown", said("ERROR", "ERROR", "57P02"), false},
		{"statement completion unknown", said("ERROR", "ERROR", "40003"), false},
		{"no code", said("ERROR", "ERROR", ""), false},
		{"half a code", said("ERROR", "ERROR", "P000"), false},
		{"a lost connection", io.ErrUnexpectedEOF, false},
		{"a time that is over", context.DeadlineExceeded, false},
		{"a connection attempt", &pgconn.ConnectError{}, false},
		{"several", errors.Join(io.EOF, context.Canceled), false},
	} {
		if got := pgpool.RolledBack(tc.err); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
