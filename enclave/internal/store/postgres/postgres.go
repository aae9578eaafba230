// Package postgres keeps signer state and validator keys in PostgreSQL, for any number of replicas.
package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
)

// maxMessage is the most bytes that one message of the server may have: a row is an item.
const maxMessage = 1 << 20

// Options say which database is opened, and how. State and keys may be in one, also beside the tables of slashing protection.
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
	// Timeout bounds each call, whether the server answers or not: of Load, which has no bound, each page. It bounds a connection
	// attempt too, and at the server each statement. Opening has openFactor times as long. Zero is refused.
	Timeout time.Duration
	// Password, if set, makes the password of each new connection, in place of the URL's.
	Password func(ctx context.Context, t pgurl.Target) (string, error)
	// CheckOnly never changes the schema: opening fails if it is not there or not current.
	CheckOnly bool
}

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
	config, err := configure(o, t)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", t, err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", t, err)
	}
	ctx, cancel := context.WithTimeout(ctx, openFactor*o.Timeout)
	defer cancel()
	err = pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { return agree(ctx, conn.Conn(), o.CheckOnly) })
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("database %s: %w", t, unavailable(err))
	}
	return &database{pool, o.Timeout}, nil
}

// configure says everything about a connection itself: what pgx would take from the environment or from files is replaced.
func configure(o Options, t pgurl.Target) (*pgxpool.Config, error) {
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
	c.ValidateConnect = nil
	c.ConnectTimeout = o.Timeout
	c.MaxProtocolMessageBodyLen = maxMessage
	c.RuntimeParams = map[string]string{
		"application_name": "containment-chamber", "client_encoding": "UTF8",
		// A commit is on disk, here and on synchronous standbys, before it is answered.
		"synchronous_commit": "on",
		// A statement sees what was committed while it waited for a lock: the numbers of changes depend on it.
		"default_transaction_isolation": "read committed",
		"statement_timeout":             strconv.FormatInt(max(1, o.Timeout.Milliseconds()), 10),
		// A replica whose machine vanished gives its locks back.
		"idle_in_transaction_session_timeout": "30000",
		"tcp_keepalives_idle":                 "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3", "tcp_user_timeout": "15000",
	}
	// Names are for Dial: in an enclave it finds them in the route table.
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if network == "tcp" && o.ForceIPv4 {
			network = "tcp4"
		}
		return o.Dial(ctx, network, address)
	}
	pool.MaxConns, pool.MinConns, pool.MinIdleConns = int32(o.PoolSize), 0, 0
	pool.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) (err error) {
		if o.Password != nil {
			c.Password, err = o.Password(ctx, t)
		}
		return err
	}
	pool.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		// The pool goes on connecting when its caller has left: a silent server would keep a place in it for good.
		ctx, cancel := context.WithTimeout(ctx, o.Timeout)
		defer cancel()
		return checkSession(ctx, conn)
	}
	return pool, nil
}

// tlsConfig is nil for sslmode disable.
func tlsConfig(t pgurl.Target, cas *x509.CertPool) *tls.Config {
	c := &tls.Config{ServerName: t.Host, RootCAs: cas, MinVersion: tls.VersionTLS12}
	switch t.SSLMode {
	case "disable":
		return nil
	case "require":
		c.InsecureSkipVerify = true // the URL asks for encryption without knowing the server
	case "verify-ca":
		c.InsecureSkipVerify = true // VerifyConnection verifies all but the name, as the URL asks
		c.VerifyConnection = func(s tls.ConnectionState) error {
			options := x509.VerifyOptions{Roots: cas, Intermediates: x509.NewCertPool()}
			for _, intermediate := range s.PeerCertificates[1:] { // a server that sends none was refused by the handshake
				options.Intermediates.AddCert(intermediate)
			}
			_, err := s.PeerCertificates[0].Verify(options)
			return err
		}
	}
	return c
}

// checkSession refuses a server that shows what was, or forgets.
func checkSession(ctx context.Context, conn *pgx.Conn) error {
	var recovering bool
	var fsync, synchronous, isolation string
	err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery(), current_setting('fsync'), current_setting('synchronous_commit'),
current_setting('transaction_isolation')`, pgx.QueryExecModeExec).Scan(&recovering, &fsync, &synchronous, &isolation)
	switch {
	case err != nil:
		return err
	case recovering:
		return fmt.Errorf("%w: the server is a standby or still recovering; name the primary", store.ErrShape)
	case fsync != "on":
		return fmt.Errorf("%w: the server's fsync is %s, so that a crash loses keys; want on", store.ErrShape, fsync)
	case synchronous != "on" || isolation != "read committed":
		return fmt.Errorf("%w: synchronous_commit is %s and transactions are %s although we set on and read committed; is a connection pooler between?",
			store.ErrShape, synchronous, isolation)
	}
	return nil
}

// Check implements store.State and store.Keys.
func (d *database) Check(ctx context.Context) error {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	if err := d.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { return checkSession(ctx, conn.Conn()) }); err != nil {
		return unavailable(err)
	}
	return nil
}

// Close implements store.State and store.Keys.
func (d *database) Close() error {
	d.pool.Close()
	return nil
}
