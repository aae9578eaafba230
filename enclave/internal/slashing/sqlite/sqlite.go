// Package sqlite keeps the last votes in one file, for one process.
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
	"sync"

	"modernc.org/sqlite" // its import registers the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

var (
	// ErrInUse is returned by Open for a file that is open already, here or in another process.
	ErrInUse = errors.New("in use by another process; only one signer may open it")
	// ErrSchema is returned by Open for a database that this release cannot use.
	ErrSchema = errors.New("unusable schema")
)

// Store is a file of last votes. The file is trusted: whoever can put an older copy in its place can make this
// signer vote twice.
type Store struct {
	db     *sql.DB // one connection, which holds the file's lock as long as it lives
	path   string
	opened fs.FileInfo // of the file that is open
	parsed statements

	transactions chan func()   // taken by serve
	closing      chan struct{} // closed by Close
	closed       chan error    // has db's once serve has closed it
	shut         func() error  // closes once
}

// Open opens the file, or creates it with mode 0600; its directory must exist. Errors name the file.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("slashing database %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer anyway
	if err := prepare(ctx, db); err != nil {
		return nil, errors.Join(explain(err), db.Close())
	}
	s := &Store{db: db, path: path, transactions: make(chan func()), closing: make(chan struct{}), closed: make(chan error, 1)}
	s.shut = sync.OnceValue(s.close)
	if s.opened, err = os.Stat(path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := s.parsed.parse(ctx, db); err != nil {
		return nil, errors.Join(explain(err), db.Close())
	}
	go s.serve()
	return s, nil
}

// create makes the file if there is none, so that its mode is ours: SQLite gives its companion file the same. It does not open
// one that is there: to close it again would release the lock that a store in this process may hold on it, because such locks
// are the process's, not the descriptor's (https://sqlite.org/howtocorrupt.html, section 2.2).
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		err = regular(path)
	case err == nil:
		err = f.Close()
	}
	if err != nil {
		// The path is named already, so that the cause is enough.
		if cause, ok := errors.AsType[*fs.PathError](err); ok {
			err = cause.Err
		}
		return err
	}
	// SQLite makes durable what is in the file; that the file is in its directory is on us.
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func regular(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	return err
}

// dsn sets, in this order: the wait for a predecessor that is just closing; the lock that keeps every other process out, which before
// WAL does without a file in shared memory (https://sqlite.org/wal.html#use_of_wal_without_shared_memory); and WAL with a sync per
// commit, so that a commit survives power loss (https://sqlite.org/pragma.html#pragma_synchronous). The driver's order is that
// too, whatever this one is: _busy_timeout, _pragma, and then the others.
func dsn(path string) string {
	q := url.Values{
		"mode":          {"rw"},
		"_txlock":       {"immediate"},
		"_busy_timeout": {"1000"}, // milliseconds
		"_pragma":       {"locking_mode(EXCLUSIVE)"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// explain puts the errors that an operator meets in words.
func explain(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	if e.Code() == sqlite3.SQLITE_IOERR_LOCK { // a file that is open for reading alone cannot be locked, nor can one on some network file systems
		return fmt.Errorf("the file cannot be locked; the file and its directory must be readable and writable (%w)", err)
	}
	switch e.Code() & 0xff { // the low byte is the primary code
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w (%w)", ErrInUse, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("the file and its directory must be readable and writable (%w)", err)
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("the file is not an SQLite database (%w)", err)
	}
	return err
}

// uncommitted is the error of a commit. The commit may have reached the disk, unless SQLite found it full: then it wrote less than
// the whole of the frames, the last of which is the commit, and a frame that is not whole counts for nothing
// (https://sqlite.org/rescode.html#full, https://sqlite.org/fileformat2.html#wal_file_format).
func uncommitted(err error) error {
	if full(err) {
		return fmt.Errorf("%w: commit: %w", slashing.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: commit: %w", slashing.ErrOutcomeUnknown, err)
}

// full says that the file system, or the limit of the database's size, has no room.
func full(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_FULL
}

// Check implements slashing.Store. It takes the write lock and writes nothing.
func (s *Store) Check(ctx context.Context) error {
	_, err := read(ctx, s, func(context.Context, *sql.Tx) (struct{}, error) { return struct{}{}, nil })
	return err
}
