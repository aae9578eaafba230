// Package postgres keeps signer state and validator keys in PostgreSQL, for any number of replicas.
package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgpool"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// Options say which database is opened, and how. State and keys may be in one, also beside the tables of slashing protection. Timeout
// also bounds each call, whether the server answers or not: of Load, which has no bound, each page. Opening has openFactor times as long.
type Options = pgpool.Options

// openFactor: who opens may wait until another replica has made the tables.
const openFactor = 6

// database is a pool of checked connections.
type database struct {
	pool    *pgxpool.Pool
	timeout time.Duration // that of Options
}

// bounded is a context for one call. The server's own timeout is not enough: a machine that is frozen, or a network that drops
// everything, says nothing and closes nothing.
func (d *database) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d.timeout)
}

// open connects and brings the schema to this release, unless told only to check it. Errors name the server and the database, never
// the password.
func open(ctx context.Context, o Options) (*database, error) {
	t, err := pgurl.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	config, err := pgpool.Configure(o, t)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", t, err)
	}
	config.AfterConnect = pgpool.Bounded(o.Timeout, checkSession)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", t, err)
	}
	d := &database{pool, o.Timeout}
	if err := d.prepare(ctx, o.CheckOnly); err != nil {
		pool.Close()
		return nil, fmt.Errorf("database %s: %w", t, unavailable(err))
	}
	return d, nil
}

// prepare makes the first connection, and on it the schema.
func (d *database) prepare(ctx context.Context, checkOnly bool) error {
	ctx, cancel := context.WithTimeout(ctx, openFactor*d.timeout)
	defer cancel()
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer pgpool.Release(conn)
	return agree(ctx, conn.Conn(), checkOnly)
}

// checkSession refuses a server that shows what was, or forgets. One that is read-only can be read.
func checkSession(ctx context.Context, conn *pgx.Conn) error {
	s, err := pgpool.Ask(ctx, conn)
	return refused(err, s.Refusal("keys"))
}

// checkWritable refuses a server as checkSession does, and one that takes no writes.
func checkWritable(ctx context.Context, conn *pgx.Conn) error {
	s, err := pgpool.Ask(ctx, conn)
	return refused(err, s.Refusal("keys"), s.Writable())
}

// refused is the first of the errors, the refusals among them as an ErrShape.
func refused(err error, refusals ...error) error {
	if err != nil {
		return err
	}
	for _, refusal := range refusals {
		if refusal != nil {
			return fmt.Errorf("%w: %w", store.ErrShape, refusal)
		}
	}
	return nil
}

// Check implements store.State and store.Keys. It writes nothing, and asks whether it could.
func (d *database) Check(ctx context.Context) error {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	conn, tx, err := d.begin(ctx, pgx.TxOptions{})
	if err != nil {
		return err
	}
	defer pgpool.Release(conn)
	err = checkWritable(ctx, tx.Conn())
	_ = tx.Rollback(ctx) // if it fails the connection is closed
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// Close implements store.State and store.Keys.
func (d *database) Close() error {
	d.pool.Close()
	return nil
}
