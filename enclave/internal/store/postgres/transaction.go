package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// errDone ends a transaction that has nothing to write.
var errDone = errors.New("done already")

// write does f in a transaction and commits it. Without errDone, an error of f is returned with nothing written; only the commit itself
// can leave its outcome unknown.
func (d *database) write(ctx context.Context, f func(context.Context, pgx.Tx) error) error {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	err := d.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return unavailable(err)
		}
		if err := f(ctx, tx); err != nil {
			_ = tx.Rollback(ctx) // a connection that is lost, or closed because time is up, rolls back too
			return unavailable(err)
		}
		return committed(tx.Commit(ctx))
	})
	switch {
	case errors.Is(err, errDone):
		return nil
	case errors.Is(err, store.ErrOutcomeUnknown):
		return err
	case err != nil:
		return unavailable(err) // no connection
	}
	return nil
}

// committed is what the error of a commit says. The server answers with ERROR when it has rolled back; anything else, a lost
// connection above all, leaves open which of the two happened. Pgx's SafeToRetry is not asked: of a connection that is lost while a
// simple query such as a commit is waited for, it says that nothing was sent.
func committed(err error) error {
	if err == nil {
		return nil
	}
	if aborted(err) || errors.Is(err, pgx.ErrTxCommitRollback) {
		return unavailable(err)
	}
	return fmt.Errorf("%w: %w", store.ErrOutcomeUnknown, err)
}

// aborted says that the server told of a transaction that it rolled back. Poolers and proxies tell of a lost server in the same
// form, with codes that tell them apart (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func aborted(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || e.Severity != "ERROR" && e.SeverityUnlocalized != "ERROR" {
		return false
	}
	return len(e.Code) == 5 && !strings.HasPrefix(e.Code, "08") && !strings.HasPrefix(e.Code, "57P") && e.Code != "40003"
}

// unavailable is an error that says that nothing was written; what the store itself found stays as it is.
func unavailable(err error) error {
	for _, known := range []error{errDone, store.ErrUnavailable, store.ErrConflict, store.ErrNotFound, store.ErrShape, store.ErrCursor} {
		if errors.Is(err, known) {
			return err
		}
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42501" { // insufficient_privilege
		err = fmt.Errorf("the role needs SELECT, INSERT, UPDATE and DELETE on the tables containment_…, and CREATE on the schema to make them: %w", err)
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}
