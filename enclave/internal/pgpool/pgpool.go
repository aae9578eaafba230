// Package pgpool makes connections to PostgreSQL servers that keep what they have committed.
package pgpool

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"
)

// applicationName is what an operator finds in pg_stat_activity.
const applicationName = "containment-chamber"

// maxMessage is the most bytes that one message of the server may have: a row is below 400 KiB, and an error is text.
const maxMessage = 1 << 20

// Options say which database is opened, and how. Who opens one says what more a timeout or a pool is for.
type Options struct {
	// URL is postgres://user:password@host:port/database with the parameters that pgurl.Parse knows.
	URL string
	// CAs vouch for the server's certificate; nil are the system's.
	CAs *x509.CertPool
	// Dial reaches the server: address is host:port with the host as in the URL, or with network unix the path of a socket.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// ForceIPv4 has Dial called with network tcp4.
	ForceIPv4 bool
	// PoolSize is the most connections at once, at least 1.
	PoolSize int
	// Timeout bounds a connection attempt, then the checks of the new connection, and at the server each statement. Zero is refused.
	Timeout time.Duration
	// Password, if set, makes the password of each new connection, in place of the URL's.
	Password func(ctx context.Context, t pgurl.Target) (string, error)
	// SCRAM refuses a server that does not prove that it knows the password (SCRAM-SHA-256-PLUS, RFC 5802 and 7677): the password is never
	// sent, and the proof is bound to this TLS connection (RFC 5929), so that nobody passes it on to the real server.
	SCRAM bool
	// CheckOnly never changes the schema: opening fails if it is not there or not current.
	CheckOnly bool
}

// Configure says everything about a pool of connections to t, which is what the URL in o says: what pgx would take from the environment
// or from files is replaced. It connects to nothing. An error names the options that are missing, and never the password.
func Configure(o Options, t pgurl.Target) (*pgxpool.Config, error) {
	if o.Dial == nil || o.Timeout <= 0 || o.PoolSize < 1 {
		return nil, errors.New("a dial function, a timeout and a pool of at least 1 connection must be set")
	}
	pool, err := pgxpool.ParseConfig("postgres://none@localhost/none?sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("connection defaults: %w", err)
	}
	c := &pool.ConnConfig.Config
	c.Host, c.Port, c.User, c.Password, c.Database = t.Host, t.Port, t.User, t.Password(), t.Database
	c.TLSConfig, c.Fallbacks = tlsConfig(t, o.CAs), nil
	c.SSLNegotiation, c.SSLCertMode, c.RequireAuth, c.KerberosSpn, c.KerberosSrvName = "postgres", "disable", "", "", ""
	c.MinProtocolVersion, c.MaxProtocolVersion, c.ChannelBinding = "3.0", "3.0", "prefer"
	if o.SCRAM {
		c.RequireAuth, c.ChannelBinding = "scram-sha-256", "require"
	}
	c.ValidateConnect = nil
	c.ConnectTimeout = o.Timeout
	c.MaxProtocolMessageBodyLen = maxMessage
	c.RuntimeParams = settings(o.Timeout)
	c.OnNotice = observe
	// Names are for Dial: in an enclave it finds them in the route table, elsewhere it tries all addresses of one at once.
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if network == "tcp" && o.ForceIPv4 {
			network = "tcp4"
		}
		return o.Dial(ctx, network, address)
	}
	pool.MaxConns, pool.MinConns, pool.MinIdleConns = int32(o.PoolSize), 0, 0
	// A ping would be a second round trip for each call after a pause, and one that is never answered would keep its place (see Release).
	// What it would find, the first statement finds too, and the caller tries again.
	pool.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	pool.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) (err error) {
		if o.Password != nil {
			c.Password, err = o.Password(ctx, t)
		}
		return err
	}
	return pool, nil
}

// settings are those of each connection, above those of the server, the database and the role.
func settings(timeout time.Duration) map[string]string {
	return map[string]string{
		"application_name": applicationName,
		"client_encoding":  "UTF8",
		// A commit is on disk, here and on synchronous standbys, before it is answered.
		"synchronous_commit": "on",
		// Each statement sees what was committed while it waited for a lock, instead of failing.
		"default_transaction_isolation": "read committed",
		// The server warns when it stops waiting for a synchronous standby, and in no other way (see observe).
		"client_min_messages": "warning",
		// A client whose machine vanished gives its locks back in seconds. The times are seconds, the last milliseconds.
		"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3", "tcp_user_timeout": "15000",
		// What nobody waits for any more ends at the server too, and gives its locks back.
		"statement_timeout":                   Milliseconds(timeout),
		"idle_in_transaction_session_timeout": "30000",
	}
}

// Milliseconds is a time as PostgreSQL takes it for its timeouts, at least 1: zero would be none.
func Milliseconds(d time.Duration) string { return strconv.FormatInt(max(1, d.Milliseconds()), 10) }

// Bounded is a check of new connections, for AfterConnect of a pool, that ends when timeout is over. The pool goes on connecting when its
// caller has left: a silent server would keep a place in it for good.
func Bounded(timeout time.Duration, check func(context.Context, *pgx.Conn) error) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, conn *pgx.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return check(ctx, conn)
	}
}
