package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// schemaVersion is the only one that this release reads and writes.
const schemaVersion = "1"

// schema: roots are those of the vote on record; NULL is a root that is not known, which equals none. The empty key in
// high_watermarks stands for all keys.
const schema = `
CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE attestations (
	key    BLOB    PRIMARY KEY CHECK (length(key) = 48),
	source INTEGER NOT NULL CHECK (source >= 0),
	target INTEGER NOT NULL CHECK (target >= source),
	root   BLOB    CHECK (length(root) = 32)
) STRICT, WITHOUT ROWID;

CREATE TABLE blocks (
	key  BLOB    PRIMARY KEY CHECK (length(key) = 48),
	slot INTEGER NOT NULL CHECK (slot >= 0),
	root BLOB    CHECK (length(root) = 32)
) STRICT, WITHOUT ROWID;

CREATE TABLE high_watermarks (
	key   BLOB    PRIMARY KEY CHECK (length(key) IN (0, 48)),
	slot  INTEGER NOT NULL CHECK (slot >= 0),
	epoch INTEGER NOT NULL CHECK (epoch >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO meta (name, value) VALUES ('schema_version', '` + schemaVersion + `');
`

// prepare makes sure that commits are durable, takes the lock, and creates the schema in an empty file.
func prepare(ctx context.Context, db *sql.DB) (err error) {
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "locking_mode": "exclusive"} {
		var got string
		if err := db.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got); err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ended(tx.Rollback())) }()
	if err := agree(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// agree creates the schema in an empty database, and else checks its version and that it can be written.
func agree(ctx context.Context, tx *sql.Tx) error {
	// This sets what nobody reads, but fails in a file that can only be read.
	if _, err := tx.ExecContext(ctx, "PRAGMA user_version = 0"); err != nil {
		return err
	}
	var objects int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&objects); err != nil {
		return err
	}
	if objects == 0 {
		if _, err := tx.ExecContext(ctx, schema); err != nil {
			return err
		}
		return identify(ctx, tx)
	}
	var version string
	err := tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'schema_version'").Scan(&version)
	switch {
	case err != nil:
		return fmt.Errorf("%w: it is not a slashing database (%w)", ErrSchema, err)
	case version != schemaVersion:
		return fmt.Errorf("%w: it is of version %s, this release knows version %s", ErrSchema, version, schemaVersion)
	}
	return identify(ctx, tx)
}

// identify gives the store its identity, unless it has one.
func identify(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO meta (name, value) VALUES ('"+metaID+"', lower(hex(randomblob(16)))) ON CONFLICT DO NOTHING")
	return err
}

// ended is Rollback's error without the one that says that there was nothing to roll back.
func ended(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
