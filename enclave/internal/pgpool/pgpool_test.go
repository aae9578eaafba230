package pgpool_test

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgpool"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

// shared is the server of all tests.
var shared *postgrestest.Server

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() { // a server is a service, and there is nothing to test without one
		return
	}
	os.Exit(postgrestest.Main(func(s *postgrestest.Server) int {
		shared = s
		return m.Run()
	}))
}

// options reach a database of the shared server over TLS.
func options(database string) pgpool.Options {
	return pgpool.Options{
		URL: shared.URL(database), CAs: shared.CAs(), Dial: new(net.Dialer).DialContext, PoolSize: 1, Timeout: 5 * time.Second,
		ForceIPv4: true, // the name localhost may mean ::1 too, where the server does not listen
	}
}

// newDatabase makes an empty database, and returns its name.
func newDatabase(t *testing.T) string {
	t.Helper()
	name, _, err := shared.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// connected has f use one connection of a pool that is made as the options say.
func connected(t *testing.T, o pgpool.Options, f func(conn *pgx.Conn) error) error {
	t.Helper()
	return pooled(t, o).AcquireFunc(t.Context(), func(conn *pgxpool.Conn) error { return f(conn.Conn()) })
}

// ask asks the server that options lead to.
func ask(t *testing.T, o pgpool.Options) (s pgpool.Session, err error) {
	t.Helper()
	err = connected(t, o, func(conn *pgx.Conn) (err error) {
		s, err = pgpool.Ask(t.Context(), conn)
		return err
	})
	if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, postgrestest.Password) {
		t.Errorf("the password is in %s", text)
	}
	return s, err
}

func TestConfigureRefuses(t *testing.T) {
	for name, change := range map[string]func(o *pgpool.Options){
		"no dial function":     func(o *pgpool.Options) { o.Dial = nil },
		"no timeout":           func(o *pgpool.Options) { o.Timeout = 0 },
		"a negative timeout":   func(o *pgpool.Options) { o.Timeout = -1 },
		"a pool of none":       func(o *pgpool.Options) { o.PoolSize = 0 },
		"a pool of less still": func(o *pgpool.Options) { o.PoolSize = -1 },
	} {
		o := options("d")
		change(&o)
		if config, err := pgpool.Configure(o, pgurl.Target{Host: "h"}); err == nil || !strings.Contains(err.Error(), "must be set") || config != nil {
			t.Errorf("%s: %v, %v", name, config, err)
		}
	}
}

// TestTLS: the server is the one that the URL names, as far as its sslmode asks.
func TestTLS(t *testing.T) {
	byAddress := func(o *pgpool.Options) { o.URL = strings.Replace(o.URL, "localhost", "127.0.0.1", 1) }
	for _, tc := range []struct {
		name    string
		address bool // the certificate is for localhost alone
		mode    string
		nobody  bool // vouches for the server
		refusal string
	}{
		{name: "verify-full"},
		{name: "verify-full, another name", address: true, refusal: "cannot validate certificate for 127.0.0.1"},
		{name: "verify-full, another authority", nobody: true, refusal: "certificate signed by unknown authority"},
		{name: "verify-ca", mode: "verify-ca"},
		{name: "verify-ca, another name", address: true, mode: "verify-ca"},
		{name: "verify-ca, another authority", mode: "verify-ca", nobody: true, refusal: "certificate signed by unknown authority"},
		{name: "require, another name and authority", address: true, mode: "require", nobody: true},
		{name: "disable, another name and authority", address: true, mode: "disable", nobody: true},
	} {
		o := options(newDatabase(t))
		if tc.address {
			byAddress(&o)
		}
		if tc.mode != "" {
			o.URL += "?sslmode=" + tc.mode
		}
		if tc.nobody {
			o.CAs = x509.NewCertPool()
		}
		var encrypted bool
		err := connected(t, o, func(conn *pgx.Conn) error {
			return conn.QueryRow(t.Context(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&encrypted)
		})
		switch {
		case tc.refusal == "" && (err != nil || encrypted != (tc.mode != "disable")):
			t.Errorf("%s: encrypted %v, %v", tc.name, encrypted, err)
		case tc.refusal != "" && (err == nil || !strings.Contains(err.Error(), tc.refusal)):
			t.Errorf("%s: %v, want %q", tc.name, err, tc.refusal)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	o := options("")
	o.URL = fmt.Sprintf("postgres://signer:%s@:%d/%s?host=%s", postgrestest.Password, shared.Port(), newDatabase(t), shared.SocketDir())
	if _, err := ask(t, o); err != nil {
		t.Error(err)
	}
}

// TestNothingComesFromTheEnvironment: variables and files that libpq knows change no connection.
func TestNothingComesFromTheEnvironment(t *testing.T) {
	o := options(newDatabase(t))
	for name, value := range map[string]string{
		"PGHOST": "nowhere.invalid", "PGPORT": "1", "PGUSER": "nobody", "PGPASSWORD": "x", "PGDATABASE": "x", "PGSSLMODE": "disable",
		"PGOPTIONS": "-c synchronous_commit=off", "PGTARGETSESSIONATTRS": "read-only", "PGAPPNAME": "x",
	} {
		t.Setenv(name, value)
	}
	if s, err := ask(t, o); err != nil || s.Refusal("x") != nil {
		t.Errorf("%v, %v", s.Refusal("x"), err)
	}
	o.CAs = x509.NewCertPool()
	if _, err := ask(t, o); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("with an authority that is none: %v", err)
	}
}

// TestDial: a name is not looked up, and the network is the one that is asked for.
func TestDial(t *testing.T) {
	for force, want := range map[bool]string{true: "tcp4 ", false: "tcp "} {
		o := options(newDatabase(t))
		var asked []string
		o.ForceIPv4 = force
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			asked = append(asked, network+" "+address)
			return new(net.Dialer).DialContext(ctx, "tcp4", address)
		}
		if _, err := ask(t, o); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{fmt.Sprintf("%slocalhost:%d", want, shared.Port())}, asked); diff != "" {
			t.Errorf("dialled (-want +got):\n%s", diff)
		}
	}
}

// TestPassword: a function's is used instead of the URL's, and its error ends the attempt.
func TestPassword(t *testing.T) {
	o := options(newDatabase(t))
	o.URL = strings.Replace(o.URL, postgrestest.Password, "wrong", 1)
	if _, err := ask(t, o); err == nil || !strings.Contains(err.Error(), "password authentication failed") {
		t.Errorf("the URL's: %v", err)
	}
	var of pgurl.Target
	o.Password = func(_ context.Context, target pgurl.Target) (string, error) {
		of = target
		return postgrestest.Password, nil
	}
	if _, err := ask(t, o); err != nil || of.User != postgrestest.Role || of.Host != "localhost" {
		t.Errorf("the function's, of %s: %v", of, err)
	}
	o.Password = func(context.Context, pgurl.Target) (string, error) {
		return postgrestest.Password, errors.New("no token today")
	}
	if _, err := ask(t, o); err == nil || !strings.Contains(err.Error(), "no token today") {
		t.Errorf("a function that fails: %v", err)
	}
}

// TestSettings: the server works by ours, those that bound a wait above all.
func TestSettings(t *testing.T) {
	got, name, setting := map[string]string{}, "", ""
	err := connected(t, options(newDatabase(t)), func(conn *pgx.Conn) error {
		rows, _ := conn.Query(t.Context(), "SELECT name, setting FROM pg_settings WHERE source = 'client' OR name LIKE 'tcp%'")
		_, err := pgx.ForEachRow(rows, []any{&name, &setting}, func() error { got[name] = setting; return nil })
		return err
	})
	if diff := cmp.Diff(map[string]string{
		"statement_timeout": "5000", "idle_in_transaction_session_timeout": "30000", "tcp_user_timeout": "15000",
		"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3", "application_name": "containment-chamber",
		"synchronous_commit": "on", "default_transaction_isolation": "read committed", "client_encoding": "UTF8",
		"client_min_messages": "warning",
	}, got); diff != "" || err != nil {
		t.Errorf("%v; settings (-want +got):\n%s", err, diff)
	}
}

func TestMilliseconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "1", time.Nanosecond: "1", time.Millisecond: "1", 1999 * time.Microsecond: "1", 90 * time.Second: "90000", -time.Second: "1",
	} {
		if got := pgpool.Milliseconds(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// TestBounded: a check that nobody answers ends when its time is over, whatever its caller does.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		check := pgpool.Bounded(3*time.Second, func(ctx context.Context, _ *pgx.Conn) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if err := check(t.Context(), nil); err != context.DeadlineExceeded || time.Since(began) != 3*time.Second { //nolint:errorlint // handed on as it is
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
