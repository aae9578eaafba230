package pgpool

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// RolledBack says of an error that came after a statement or a commit was handed to a connection that nothing of the transaction was
// done, and will not be. The server answers with ERROR when it has rolled back, and before it commits; anything else, a lost connection
// above all, leaves open which of the two happened. Poolers and proxies tell of a lost server in the same form, with codes that tell
// them apart (https://www.postgresql.org/docs/current/errcodes-appendix.html). Pgx's SafeToRetry is not asked: of a connection that is
// lost while the answer to a simple query such as a commit is awaited, it says that nothing was sent.
func RolledBack(err error) bool {
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return true
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || severity(e) != "ERROR" {
		return false
	}
	switch {
	case strings.HasPrefix(e.Code, "08"), // connection exception
		strings.HasPrefix(e.Code, "57P"), // shut down, crash, cannot connect now
		e.Code == "40003",                // statement completion unknown
		len(e.Code) != 5:
		return false
	}
	return true
}

// severity is in English whatever language the server speaks, if it is of version 9.6 or later.
func severity(e *pgconn.PgError) string {
	if e.SeverityUnlocalized != "" {
		return e.SeverityUnlocalized
	}
	return e.Severity
}
