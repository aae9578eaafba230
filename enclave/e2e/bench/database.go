package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

// database is a PostgreSQL server of our own. It syncs every commit to disk, as its defaults are.
type database struct {
	*postgrestest.Server
	version string
}

// startDatabase starts a server that counts the statements of the databases of newCounted alone: what that costs is not for pgbench
// to pay.
func startDatabase(ctx context.Context) (*database, error) {
	for _, program := range []string{"initdb", "postgres", "pgbench"} {
		if _, err := postgrestest.Program(program); err != nil {
			return nil, missingError{err}
		}
	}
	s, err := postgrestest.Start("shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track=none")
	if err != nil {
		return nil, err
	}
	d := &database{Server: s}
	err = d.Exec(ctx, "postgres", "CREATE EXTENSION pg_stat_statements")
	if err == nil {
		d.version, err = query[string](ctx, d, "postgres", "SELECT current_setting('server_version_num')::int / 10000 || ''")
	}
	if err != nil {
		return nil, errors.Join(err, d.Stop())
	}
	return d, nil
}

// newCounted makes a database whose statements are counted.
func (d *database) newCounted(ctx context.Context) (name string, err error) {
	name, _, err = d.NewDatabase(ctx)
	if err == nil {
		err = d.Exec(ctx, "postgres", "ALTER DATABASE "+name+" SET pg_stat_statements.track = 'top'")
	}
	return name, err
}

// statements is how many statements a database was asked so far, those of transactions' beginnings and ends included. One statement
// is at most one round trip, and none goes uncounted. (The server's count of transactions would say less: it is published
// about once a second, and a transaction can take several round trips.)
func (d *database) statements(ctx context.Context, name string) (int64, error) {
	return query[int64](ctx, d, "postgres",
		"SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid WHERE datname = $1", name)
}

// query reads one value as the superuser, whose statements in the database postgres are not counted.
func query[T any](ctx context.Context, d *database, name, sql string, args ...any) (value T, err error) {
	conn, err := d.Connect(ctx, name)
	if err != nil {
		return value, fmt.Errorf("ask the PostgreSQL server: %w", err)
	}
	err = conn.QueryRow(ctx, sql, args...).Scan(&value)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return value, fmt.Errorf("ask the PostgreSQL server: %w", err)
	}
	return value, nil
}
