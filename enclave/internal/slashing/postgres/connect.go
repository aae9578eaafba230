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
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// applicationName is what an operator finds in pg_stat_activity.
const applicationName = "containment-chamber"

// maxMessage is the most bytes that one message of the server may have: a row is below 1 KiB, an error is text.
const maxMessage = 1 << 20

// configure says everything about a connection itself: what pgx would take from the environment or from files is replaced.
func configure(o Options, t Target) (*pgxpool.Config, error) {
	switch {
	case o.Dial == nil || o.Timeout <= 0:
		return nil, errors.New("a dial function and a timeout must be set")
	case o.PoolSize < 2:
		return nil, fmt.Errorf("a pool of %d connections is too small, want at least 2: a vote must not wait for a health check", o.PoolSize)
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
	c.OnNotice = observe
	c.RuntimeParams = session(o.Timeout)
	// Names are for Dial: in an enclave it finds them in the route table, elsewhere it tries all addresses of one at once.
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if network == "tcp" && o.ForceIPv4 {
			network = "tcp4"
		}
		return o.Dial(ctx, network, address)
	}
	pool.MaxConns, pool.MinConns, pool.MinIdleConns = int32(o.PoolSize), 0, 1
	// A ping would be a second round trip for each vote after a pause. What it would find, the write finds too, and is sent again.
	pool.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	return pool, nil
}

// authenticate sets the password of a connection that is to be made.
func (o Options) authenticate(ctx context.Context, t Target, c *pgx.ConnConfig) error {
	if o.Password == nil {
		return nil
	}
	password, err := o.Password(ctx, t)
	c.Password = password
	return err
}

// session are the settings of each connection, above those of the server, the database and the role.
func session(timeout time.Duration) map[string]string {
	return map[string]string{
		"application_name": applicationName,
		"client_encoding":  "UTF8",
		// A commit is on disk, here and on synchronous standbys, before it is answered.
		"synchronous_commit": "on",
		// Each statement sees the row that it has waited for, instead of failing.
		"default_transaction_isolation": "read committed",
		// Every statement finds its rows by their keys. One plan for all batches, which does not read tables from end to end because
		// they were empty when it was made, stays right whatever they grow to.
		"plan_cache_mode": "force_generic_plan",
		"enable_seqscan":  "off",
		// The server warns when it stops waiting for a synchronous standby, and in no other way (see observe).
		"client_min_messages": "warning",
		// A signer whose machine vanished gives its row locks back in seconds. The times are seconds, the last milliseconds.
		"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3", "tcp_user_timeout": "15000",
		// What nobody waits for any more ends at the server too, and gives its locks back.
		"statement_timeout":                   milliseconds(timeout),
		"idle_in_transaction_session_timeout": "30000",
		// A row that somebody keeps must not hold up the votes of others for longer (see passBy).
		"lock_timeout": milliseconds(timeout / 10),
	}
}

// milliseconds is a time as PostgreSQL takes it, where zero would be none.
func milliseconds(d time.Duration) string { return strconv.FormatInt(max(1, d.Milliseconds()), 10) }

// untimed lifts what session sets for votes off a transaction, which ctx bounds.
const untimed = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"

// tlsConfig is nil for sslmode disable.
func tlsConfig(t Target, cas *x509.CertPool) *tls.Config {
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

// checkSession refuses a server that would forget votes or cannot take them.
func checkSession(ctx context.Context, conn *pgx.Conn) error {
	var recovering bool
	var fsync, synchronous, readOnly, isolation, messages string
	err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery(), current_setting('fsync'), current_setting('synchronous_commit'),
current_setting('transaction_read_only'), current_setting('transaction_isolation'), current_setting('client_min_messages')`, pgx.QueryExecModeExec).
		Scan(&recovering, &fsync, &synchronous, &readOnly, &isolation, &messages)
	switch {
	case err != nil:
		return err
	case recovering:
		return fmt.Errorf("%w: it is a standby or still recovering; name the primary", ErrServer)
	case fsync != "on":
		return fmt.Errorf("%w: its fsync is %s, so that a crash loses votes; want on", ErrServer, fsync)
	case synchronous != "on":
		return fmt.Errorf("%w: synchronous_commit is %s although we set it on; is a connection pooler between?", ErrServer, synchronous)
	case messages != "warning":
		return fmt.Errorf("%w: client_min_messages is %s although we set it to warning; is a connection pooler between?", ErrServer, messages)
	case isolation != "read committed":
		return fmt.Errorf("%w: its transactions are %s although we set read committed; is a connection pooler between?", ErrServer, isolation)
	case readOnly != "off":
		return fmt.Errorf("%w: its transactions are read-only (default_transaction_read_only)", ErrServer)
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
