package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// unavailable is an error that says that nothing was recorded.
func unavailable(err error) error {
	if errors.Is(err, slashing.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", slashing.ErrUnavailable, explain(err))
}

// judged is what an error says that came after a statement or a commit was handed to a connection. The server answers with ERROR
// when it has rolled back, and before it commits; anything else, a lost connection above all, leaves open which of the two
// happened. Pgx's SafeToRetry is not asked: it also says yes of a connection that is lost while the answer to a commit is awaited.
func judged(err error) error {
	if aborted(err) || errors.Is(err, pgx.ErrTxCommitRollback) {
		return unavailable(err)
	}
	return fmt.Errorf("%w: %w", slashing.ErrOutcomeUnknown, err)
}

// aborted says that the server told of a transaction that it rolled back. Poolers and proxies tell of a lost server in the same
// form, with codes that tell them apart (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func aborted(err error) bool {
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

// conflicted says that another transaction was in the way: the server rolled this one back, and it may be sent again.
func conflicted(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || !aborted(err) {
		return false
	}
	switch e.Code {
	case "40001", "40P01", "55P03": // serialization failure, deadlock, lock not available
		return true
	}
	return false
}

// byRow says that a row may be at fault, so that its neighbours may do without it: a constraint, a value, or a trigger of the
// operator's.
func byRow(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && aborted(err) && (strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "23") || strings.HasPrefix(e.Code, "P0"))
}
