// Package sqlite keeps signer state and validator keys in one file, for the processes of one machine, which is enough for development.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite" // its import registers the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// schemaVersion is the only one that this release reads and writes.
const schemaVersion = 1

// schema: times are milliseconds since 1970.
const schema = `
CREATE TABLE containment_state (
	name    TEXT    PRIMARY KEY,
	version INTEGER NOT NULL CHECK (version > 0),
	body    BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE containment_keys (
	public_key BLOB    PRIMARY KEY CHECK (length(public_key) = 48),
	version    INTEGER NOT NULL CHECK (version > 0),
	status     TEXT    NOT NULL CHECK (status IN ('active', 'inactive', 'deleted')),
	changed    INTEGER NOT NULL UNIQUE,
	body       BLOB    NOT NULL,
	created    INTEGER NOT NULL,
	updated    INTEGER NOT NULL
) STRICT;

CREATE TABLE containment_keys_changes (
	one  INTEGER PRIMARY KEY CHECK (one = 1),
	last INTEGER NOT NULL
) STRICT;
INSERT INTO containment_keys_changes (one, last) VALUES (1, 0);

CREATE TABLE containment_state_migrations (version INTEGER PRIMARY KEY) STRICT;
INSERT INTO containment_state_migrations (version) VALUES (1);
`

// file is an open database file.
type file struct{ db *sql.DB }

// open opens the file, or creates it with mode 0600; its directory must exist. Errors name the file.
func open(ctx context.Context, path string) (*file, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, fmt.Errorf("database %s: %w: %w", path, store.ErrShape, err)
	}
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return nil, err
	}
	f := &file{db}
	db.SetMaxOpenConns(1) // SQLite has one writer anyway
	if err := f.write(ctx, func(tx *sql.Tx) error { return agree(ctx, tx) }); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", path, explain(err)), db.Close())
	}
	return f, nil
}

// create makes the file if there is none, so that its mode is ours: SQLite gives its companion files the same. It does not open
// one that is there: to close it again would release the locks that this process may hold on it, because such locks are the
// process's, not the descriptor's (https://sqlite.org/howtocorrupt.html, section 2.2).
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		return f.Close()
	}
	if errors.Is(err, fs.ErrExist) {
		info, err := os.Stat(path)
		if err == nil && !info.Mode().IsRegular() {
			err = errors.New("it is not a regular file")
		}
		return err
	}
	if cause, ok := errors.AsType[*fs.PathError](err); ok { // the path is named already
		return cause.Err
	}
	return err
}

// dsn sets the wait for other processes, and WAL with a sync per commit, so that a commit survives power loss
// (https://sqlite.org/pragma.html#pragma_synchronous). A transaction has the write lock from its beginning.
func dsn(path string) string {
	q := url.Values{
		"mode":          {"rw"},
		"_txlock":       {"immediate"},
		"_busy_timeout": {"10000"}, // milliseconds
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// agree makes the tables in a file that is empty, and else checks their version.
func agree(ctx context.Context, tx *sql.Tx) error {
	var objects, version int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&objects); err != nil {
		return err
	}
	if objects == 0 {
		_, err := tx.ExecContext(ctx, schema)
		return err
	}
	switch err := tx.QueryRowContext(ctx, "SELECT max(version) FROM containment_state_migrations").Scan(&version); {
	case err != nil:
		return fmt.Errorf("%w: it is another program's database (%w)", store.ErrShape, err)
	case version != schemaVersion:
		return fmt.Errorf("%w: its tables are of version %d, this release knows %d", store.ErrShape, version, schemaVersion)
	}
	return errDone
}

// errDone ends a transaction that has nothing to write.
var errDone = errors.New("done already")

// write does f in a transaction, which has the write lock, and commits it.
func (f *file) write(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return unavailable(err)
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // if ctx has not ended it
		if errors.Is(err, errDone) {
			return nil
		}
		return unavailable(err)
	}
	switch err := tx.Commit(); {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrTxDone), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded): // before it was begun
		return unavailable(err)
	default:
		return fmt.Errorf("%w: commit: %w", store.ErrOutcomeUnknown, err)
	}
}

// unavailable is an error that says that nothing was written; what the store itself found stays as it is.
func unavailable(err error) error {
	for _, known := range []error{store.ErrUnavailable, store.ErrConflict, store.ErrNotFound, store.ErrShape, store.ErrCursor} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, explain(err))
}

// explain puts the errors that an operator meets in words.
func explain(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch e.Code() & 0xff { // the low byte is the primary code
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("another process keeps the file locked (%w)", err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("the file and its directory must be readable and writable (%w)", err)
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: it is not an SQLite database (%w)", store.ErrShape, err)
	}
	return err
}

// Check implements store.State and store.Keys.
func (f *file) Check(ctx context.Context) error {
	return f.write(ctx, func(*sql.Tx) error { return errDone })
}

// Close implements store.State and store.Keys.
func (f *file) Close() error { return f.db.Close() }
