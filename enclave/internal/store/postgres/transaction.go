package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgpool"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// errDone is what a write says that finds itself stored already.
var errDone = errors.New("done already")

// begin begins a transaction, on a new connection if the one it gets was lost while it rested. That may show by silence alone, which
// takes a quarter of the time that a call has. The connection is to be released.
func (d *database) begin(ctx context.Context, o pgx.TxOptions) (*pgxpool.Conn, pgx.Tx, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	for retry := true; ; retry = false {
		conn, err := d.pool.Acquire(ctx)
		if err != nil {
			return nil, nil, unavailable(err)
		}
		tx, err := d.beginOn(ctx, conn, o)
		if err == nil {
			return conn, tx, nil
		}
		pgpool.Release(conn)
		if !retry || ctx.Err() != nil {
			return nil, nil, unavailable(err)
		}
		d.pool.Reset() // the others rested as long
	}
}

func (d *database) beginOn(ctx context.Context, conn *pgxpool.Conn, o pgx.TxOptions) (pgx.Tx, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout/4)
	defer cancel()
	return conn.Conn().BeginTx(ctx, o)
}

// read does f in a transaction that sees one moment of one server and writes nothing.
func (d *database) read(ctx context.Context, f func(pgx.Tx) error) error {
	conn, tx, err := d.begin(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer pgpool.Release(conn)
	err = f(tx)
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	_ = tx.Rollback(ctx) // if it fails the connection is closed, and what was read stays true
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// again is a write that changes nothing. What stands in the store already may be of a commit that no synchronous standby has yet, because
// the server was restarted or told not to wait: one that comes after it is waited for until both are there.
const again = "UPDATE containment_keys_changes SET last = last"

// write does f in a transaction and commits it, with again in place of what f did not write if it returns errDone. Another error of f is
// returned with nothing written; only the commit itself can leave its outcome unknown.
func (d *database) write(ctx context.Context, f func(context.Context, pgx.Tx) error) error {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	conn, tx, err := d.begin(ctx, pgx.TxOptions{})
	if err != nil {
		return err
	}
	defer pgpool.Release(conn)
	if err = f(ctx, tx); errors.Is(err, errDone) {
		_, err = tx.Exec(ctx, again)
	}
	if err != nil {
		_ = tx.Rollback(ctx) // a connection that is lost, or closed because time is up, rolls back too
		return unavailable(err)
	}
	if err = tx.Commit(ctx); err == nil {
		err = pgpool.Abandoned(conn.Conn())
	}
	return committed(err)
}

// committed is what the error of a commit says.
func committed(err error) error {
	if err == nil {
		return nil
	}
	if pgpool.RolledBack(err) {
		return unavailable(err)
	}
	return fmt.Errorf("%w: %w", store.ErrOutcomeUnknown, err)
}

// unavailable is an error that says that nothing was written; what the store itself found stays as it is.
func unavailable(err error) error {
	for _, known := range []error{store.ErrUnavailable, store.ErrConflict, store.ErrNotFound, store.ErrShape, store.ErrCursor} {
		if errors.Is(err, known) {
			return err
		}
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42501" { // insufficient_privilege
		err = fmt.Errorf("the role needs SELECT, INSERT, UPDATE and DELETE on the tables containment_…, and CREATE on the schema to make them: %w", err)
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}
