package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// migrations lead from nothing to this release's schema, whose version is their number. Times are milliseconds since 1970.
func migrations() []string {
	return []string{`
CREATE TABLE containment_state (
	name    text   PRIMARY KEY COLLATE "C",
	version bigint NOT NULL CHECK (version > 0),
	body    bytea  NOT NULL
);

CREATE TABLE containment_keys (
	public_key bytea  PRIMARY KEY CHECK (length(public_key) = 48),
	version    bigint NOT NULL CHECK (version > 0),
	status     text   NOT NULL CHECK (status IN ('active', 'inactive', 'deleted')),
	changed    bigint NOT NULL UNIQUE,
	body       bytea  NOT NULL,
	created    bigint NOT NULL,
	updated    bigint NOT NULL
);

CREATE TABLE containment_keys_changes (
	one  boolean PRIMARY KEY DEFAULT true CHECK (one),
	last bigint  NOT NULL
);
INSERT INTO containment_keys_changes (last) VALUES (0);
`}
}

// schemaLock is held while the schema is changed; any number that no other program on the database uses, that of slashing protection
// included.
const schemaLock = 0x636861_6d626572

// agree checks the schema, and first makes what is missing unless it may not.
func agree(ctx context.Context, conn *pgx.Conn, checkOnly bool) error {
	version, err := schemaVersion(ctx, conn)
	switch wanted := len(migrations()); {
	case err != nil:
		return err
	case version == wanted:
		return nil
	case version > wanted:
		return fmt.Errorf("%w: its tables are of version %d, this release knows %d", store.ErrShape, version, wanted)
	case checkOnly:
		return fmt.Errorf("%w: its tables are of version %d, this release wants %d; run the migration with a role that may create tables",
			store.ErrShape, version, wanted)
	}
	return pgx.BeginFunc(ctx, conn, migrate(ctx))
}

// migrate makes what is missing, in one transaction that only one replica at a time is in.
func migrate(ctx context.Context) func(tx pgx.Tx) error {
	return func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0") // ctx bounds it
		if err == nil {
			_, err = tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(schemaLock))
		}
		if err != nil {
			return err
		}
		version, err := schemaVersion(ctx, tx)
		if err != nil {
			return err
		}
		if version == 0 {
			if _, err := tx.Exec(ctx, "CREATE TABLE containment_state_migrations (version integer PRIMARY KEY)"); err != nil {
				return err
			}
		}
		for steps := migrations(); version < len(steps); version++ {
			if _, err := tx.Exec(ctx, steps[version]); err != nil {
				return fmt.Errorf("migration to schema version %d: %w", version+1, err)
			}
			if _, err := tx.Exec(ctx, "INSERT INTO containment_state_migrations (version) VALUES ($1)", version+1); err != nil {
				return err
			}
		}
		return nil
	}
}

// queryer is a connection or a transaction on it.
type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// schemaVersion is 0 if there are no tables. It reads the catalogue itself: to_regclass answers from a cache, which a session that has
// just waited for the one that makes the tables has not renewed.
func schemaVersion(ctx context.Context, q queryer) (version int, err error) {
	var there bool
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_class
WHERE relname = 'containment_state_migrations' AND pg_catalog.pg_table_is_visible(oid))`, pgx.QueryExecModeExec).Scan(&there)
	if err != nil || !there {
		return 0, err
	}
	err = q.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM containment_state_migrations", pgx.QueryExecModeExec).Scan(&version)
	if err == nil && version == 0 {
		err = fmt.Errorf("%w: its table containment_state_migrations is empty", store.ErrShape)
	}
	return version, err
}

// none is err without the one that says that there was no row.
func none(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}
