package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgpool"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"
)

// configure is what pgpool makes of the options, and what votes need besides.
func configure(o Options, t pgurl.Target) (*pgxpool.Config, error) {
	pool, err := pgpool.Configure(o, t)
	switch {
	case err != nil:
		return nil, err
	case o.PoolSize < 2:
		return nil, fmt.Errorf("a pool of %d connections is too small, want at least 2: a vote must not wait for a health check", o.PoolSize)
	}
	maps.Copy(pool.ConnConfig.RuntimeParams, session(o.Timeout))
	pool.MinIdleConns = 1
	return pool, nil
}

// session are the settings of each connection beside those of pgpool.
func session(timeout time.Duration) map[string]string {
	return map[string]string{
		// Every statement finds its rows by their keys. One plan for all batches, which does not read tables from end to end because
		// they were empty when it was made, stays right whatever they grow to.
		"plan_cache_mode": "force_generic_plan",
		"enable_seqscan":  "off",
		// A row that somebody keeps must not hold up the votes of others for longer (see passBy).
		"lock_timeout": pgpool.Milliseconds(timeout / 10),
	}
}

// untimed lifts what the settings of a connection bound for votes off a transaction, which ctx bounds.
const untimed = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"

// checkSession refuses a server that would forget votes or cannot take them.
func checkSession(ctx context.Context, conn *pgx.Conn) error {
	s, err := pgpool.Ask(ctx, conn)
	if err != nil {
		return err
	}
	for _, refusal := range []error{s.Refusal("votes"), s.Writable()} {
		if refusal != nil {
			return fmt.Errorf("%w: %w", ErrServer, refusal)
		}
	}
	return nil
}

// checkRights refuses a role that could not record votes: PostgreSQL would tell at the first one.
func checkRights(ctx context.Context, conn *pgx.Conn) error {
	var lacking string
	err := conn.QueryRow(ctx, `
SELECT coalesce(string_agg(rights || ' on ' || name, ' and '), '') FROM (
	SELECT name, string_agg(privilege, ', ' ORDER BY privilege) AS rights
	FROM (VALUES
		('attestations', 'SELECT'), ('attestations', 'INSERT'), ('attestations', 'UPDATE'),
		('blocks', 'SELECT'), ('blocks', 'INSERT'), ('blocks', 'UPDATE'),
		('high_watermarks', 'SELECT')) AS needed (name, privilege)
	WHERE NOT has_table_privilege(name, privilege)
	GROUP BY name ORDER BY name) AS tables`,
		pgx.QueryExecModeExec).Scan(&lacking)
	if err == nil && lacking != "" {
		err = fmt.Errorf("%w: the role lacks %s", ErrServer, lacking)
	}
	if err != nil {
		return err
	}
	return checkLogged(ctx, conn)
}

// checkLogged refuses tables that the server empties when it comes back from a crash.
func checkLogged(ctx context.Context, conn *pgx.Conn) error {
	var unlogged string
	err := conn.QueryRow(ctx, `
SELECT coalesce(string_agg(relname, ' and ' ORDER BY relname), '') FROM pg_catalog.pg_class
WHERE oid IN ('meta'::regclass, 'attestations'::regclass, 'blocks'::regclass, 'high_watermarks'::regclass) AND relpersistence <> 'p'`,
		pgx.QueryExecModeExec).Scan(&unlogged)
	if err == nil && unlogged != "" {
		err = fmt.Errorf("%w: %s would be emptied by a crash; want ALTER TABLE … SET LOGGED", ErrServer, unlogged)
	}
	return err
}

// explain puts the errors that an operator meets in words.
func explain(err error) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	switch e.Code {
	case "42501": // insufficient_privilege
		return fmt.Errorf("the role lacks a right (to sign it needs SELECT, INSERT and UPDATE on meta, attestations and blocks, and SELECT on high_watermarks; "+
			"to set high watermarks INSERT, UPDATE and DELETE on high_watermarks too; to make the tables, CREATE on the schema): %w", err)
	case "3F000": // invalid_schema_name
		return fmt.Errorf("the role's search_path names no schema: %w", err)
	case "42P07", "42710": // duplicate_table, duplicate_object: a table, a view, a type
		return fmt.Errorf("another program's table or type is in the way; give the signer a schema or a database of its own: %w", err)
	case "55P03": // lock_not_available
		return fmt.Errorf("other transactions keep the votes' rows or tables: %w", err)
	}
	return err
}
