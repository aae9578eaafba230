package postgrestest

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// NewDatabase makes an empty database, which belongs to Role, and returns its name and what URL makes of it.
func (s *Server) NewDatabase(ctx context.Context) (name, url string, err error) {
	name = fmt.Sprintf("db%d", s.dbs.Add(1))
	if err := s.Exec(ctx, "postgres", "CREATE DATABASE "+name+" OWNER "+Role); err != nil {
		return "", "", fmt.Errorf("make a database: %w", err)
	}
	return name, s.URL(name), nil
}

// URL is where a database is, for Role and with its password, over TLS. CAs vouch for the server.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://%s:%s@localhost:%d/%s", Role, Password, s.port, database)
}

// PlainURL is the same without TLS, at an address such as a proxy's or the server's own.
func (s *Server) PlainURL(address, database string) string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", Role, Password, address, database)
}

// Address is host:port of the server.
func (s *Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Connect connects to a database as the superuser, by the unix socket.
func (s *Server) Connect(ctx context.Context, database string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=admin dbname=%s", s.dir, s.port, database))
}

// Exec runs statements as the superuser, each in a transaction of its own.
func (s *Server) Exec(ctx context.Context, database string, statements ...string) error {
	conn, err := s.Connect(ctx, database)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", statement, err), conn.Close(ctx))
		}
	}
	return conn.Close(ctx)
}
