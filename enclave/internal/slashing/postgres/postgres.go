// Package postgres keeps the last votes in a PostgreSQL database, for any number of signers.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgpool"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"
)

var (
	// ErrSchema is returned by Open for a database that this release cannot use as it is.
	ErrSchema = errors.New("unusable schema")
	// ErrServer is the cause of every refusal of a server that would lose votes, cannot take them, or is another one than before.
	ErrServer = errors.New("refused database server")
)

// Options say which database is opened, and how. PoolSize is at least 2: one connection for votes, and one for those who ask how it is.
// Timeout is also that of one Advance, whose statements wait for one lock a tenth of it at most; a merge may take longer.
type Options = pgpool.Options

// Store is a database of last votes. The database is trusted: whoever can write to it, or put an older copy in its place, can make
// signers vote twice.
type Store struct {
	pool    *pgxpool.Pool
	timeout time.Duration // that of Options
	once    sync.Once     // closes pool
}

// Open connects to the database and brings its schema to this release, unless told only to check it. Errors name the server
// and the database, never the password.
func Open(ctx context.Context, o Options) (*Store, error) {
	t, err := pgurl.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, o, t)
	if err != nil {
		return nil, fmt.Errorf("slashing database %s: %w", t, explain(err))
	}
	return s, nil
}

func open(ctx context.Context, o Options, t pgurl.Target) (*Store, error) {
	config, err := configure(o, t)
	if err != nil {
		return nil, err
	}
	id, err := introduce(ctx, config, o.CheckOnly)
	if err != nil {
		return nil, err
	}
	config.AfterConnect = pgpool.Bounded(o.Timeout, func(ctx context.Context, conn *pgx.Conn) error { return admit(ctx, conn, id) })
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	s := &Store{pool: pool, timeout: o.Timeout}
	if err := s.Check(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// introduce makes the first connection, on which the schema is made or checked, and returns the store's identity.
func introduce(ctx context.Context, config *pgxpool.Config, checkOnly bool) (id string, err error) {
	c := config.ConnConfig.Copy()
	if err := config.BeforeConnect(ctx, c); err != nil {
		return "", err
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if err := checkSession(ctx, conn); err != nil {
		return "", err
	}
	if err := agree(ctx, conn, checkOnly); err != nil {
		return "", err
	}
	return identity(ctx, conn)
}

// admit checks a new connection, and parses on it what it will be asked. Another store than at the start is refused: the name
// of a server can come to mean a copy of it.
func admit(ctx context.Context, conn *pgx.Conn, id string) error {
	if err := checkSession(ctx, conn); err != nil {
		return err
	}
	if err := checkSchema(ctx, conn); err != nil {
		return err
	}
	switch now, err := identity(ctx, conn); {
	case err != nil:
		return err
	case now != id:
		return fmt.Errorf("%w: it holds the store %s, at the start it was %s", ErrServer, now, id)
	}
	if err := checkRights(ctx, conn); err != nil {
		return err
	}
	return prepare(ctx, conn)
}

// Check implements slashing.Store. It writes nothing, and asks on one connection whether it could; on a new one if that was lost
// while it rested.
func (s *Store) Check(ctx context.Context) error {
	for retry := true; ; retry = false {
		conn, err := s.pool.Acquire(ctx)
		if err != nil {
			return unavailable(err)
		}
		err = checkSession(ctx, conn.Conn())
		if err != nil && ctx.Err() == nil {
			s.pool.Reset()
		}
		pgpool.Release(conn)
		switch {
		case err == nil:
			return nil
		case !retry || ctx.Err() != nil || errors.Is(err, ErrServer):
			return unavailable(err)
		}
	}
}

// Close implements slashing.Store.
func (s *Store) Close() error {
	s.once.Do(s.pool.Close)
	return nil
}
