package postgres_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

// refused opens what must not open, and checks the words and that no password is in them.
func refused(t *testing.T, o postgres.Options, is error, words string) {
	t.Helper()
	s, err := postgres.Open(t.Context(), o)
	if err == nil {
		_ = s.Close()
		t.Fatal("opened")
	}
	if s != nil {
		t.Error("an error and a store")
	}
	if is != nil && !errors.Is(err, is) || !strings.Contains(err.Error(), words) {
		t.Errorf("error %q, want %v and %q", err, is, words)
	}
	if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, postgrestest.Password) {
		t.Errorf("the password is in %s", text)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tc := range []struct {
		name  string
		setup func(t *testing.T, o *postgres.Options, database string)
		is    error
		words string
	}{
		{"another authority", func(_ *testing.T, o *postgres.Options, _ string) { o.CAs = x509.NewCertPool() }, nil, "certificate signed by unknown authority"},
		{"wrong password", func(_ *testing.T, o *postgres.Options, _ string) {
			o.URL = strings.Replace(o.URL, postgrestest.Password, postgrestest.Password+"x", 1)
		}, nil, "password authentication failed"},
		{"no such database", func(_ *testing.T, o *postgres.Options, _ string) { o.URL += "x" }, nil, `database "db`},
		{"nobody listens", func(t *testing.T, o *postgres.Options, _ string) {
			p := newProxy(t, shared.Address())
			p.Spoil(true, nil)
			o.URL = plain(p.Address(), "d").URL
		}, nil, "slashing database d on 127.0.0.1:"},
		{"read-only", func(t *testing.T, _ *postgres.Options, database string) {
			administrate(t, database, "ALTER DATABASE "+database+" SET default_transaction_read_only = on")
		}, postgres.ErrServer, "its transactions are read-only"},
		{"no right to create tables", func(t *testing.T, _ *postgres.Options, database string) {
			administrate(t, database, "ALTER SCHEMA public OWNER TO admin", "REVOKE ALL ON SCHEMA public FROM PUBLIC, signer",
				"GRANT USAGE ON SCHEMA public TO signer", "ALTER DATABASE "+database+" OWNER TO admin")
		}, nil, "the role lacks a right (to sign it needs"},
		{"no right to write", func(t *testing.T, o *postgres.Options, database string) {
			closed(t, *o)
			administrate(t, database, "ALTER TABLE attestations OWNER TO admin", "ALTER TABLE blocks OWNER TO admin")
		}, postgres.ErrServer, "the role lacks INSERT, SELECT, UPDATE on attestations and INSERT, SELECT, UPDATE on blocks"},
		{"no right to read high watermarks", func(t *testing.T, o *postgres.Options, database string) {
			closed(t, *o)
			administrate(t, database, "ALTER TABLE high_watermarks OWNER TO admin", "GRANT INSERT, UPDATE, DELETE ON high_watermarks TO signer")
		}, postgres.ErrServer, "the role lacks SELECT on high_watermarks"},
		{"tables that a crash empties", func(t *testing.T, o *postgres.Options, database string) {
			closed(t, *o)
			administrate(t, database, "ALTER TABLE blocks SET UNLOGGED", "ALTER TABLE high_watermarks SET UNLOGGED")
		}, postgres.ErrServer, "blocks and high_watermarks would be emptied by a crash"},
		{"somebody else's table", func(t *testing.T, _ *postgres.Options, database string) {
			administrate(t, database, "CREATE TABLE meta (cats text)", "ALTER TABLE meta OWNER TO signer")
		}, postgres.ErrSchema, "it is not a slashing database"},
		{"schema without version", func(t *testing.T, o *postgres.Options, database string) {
			closed(t, *o)
			administrate(t, database, "DELETE FROM meta WHERE name = 'schema_version'")
		}, postgres.ErrSchema, "it is not a slashing database"},
		{"schema from the future", func(t *testing.T, o *postgres.Options, database string) {
			closed(t, *o)
			administrate(t, database, "UPDATE meta SET value = '99' WHERE name LIKE 'schema_%'")
		}, postgres.ErrSchema, "it is of version 99 for releases that know version 99, this release knows version 1"},
		{
			"schema to be made by somebody else", func(_ *testing.T, o *postgres.Options, _ string) { o.CheckOnly = true }, postgres.ErrSchema,
			"it is not made yet (migrations are missing); run containment-chamber slashing migrate with a role that may create tables",
		},
		{"no dial function", func(_ *testing.T, o *postgres.Options, _ string) { o.Dial = nil }, nil, "must be set"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			database := newDatabase(t)
			o := options(database)
			tc.setup(t, &o, database)
			refused(t, o, tc.is, tc.words)
		})
	}
}

func administrate(t *testing.T, database string, statements ...string) {
	t.Helper()
	if err := shared.Exec(t.Context(), database, statements...); err != nil {
		t.Fatal(err)
	}
}

// closed leaves an empty store behind.
func closed(t *testing.T, o postgres.Options) {
	t.Helper()
	if err := open(t, o).Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReleases: a schema that a later release only added to is used, with its tables as they are, and a role that may create
// nothing is enough for a schema that is there.
func TestReleases(t *testing.T) {
	database := newDatabase(t)
	o := options(database)
	if err := open(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	administrate(t, database, "UPDATE meta SET value = '2' WHERE name = 'schema_version'",
		"REVOKE ALL ON SCHEMA public FROM PUBLIC, signer", "GRANT USAGE ON SCHEMA public TO signer",
		"ALTER TABLE meta OWNER TO admin", "ALTER TABLE attestations OWNER TO admin", "ALTER TABLE blocks OWNER TO admin",
		"ALTER TABLE high_watermarks OWNER TO admin", "GRANT SELECT, INSERT, UPDATE ON meta, attestations, blocks TO signer", "GRANT SELECT ON high_watermarks TO signer")
	for _, o.CheckOnly = range []bool{true, false} {
		vote := slashing.Block{Slot: 1}
		if outcomes, err := open(t, o).Advance(t.Context(), []slashing.Claim{{Vote: vote}}); err != nil || outcomes[0].Standing != vote {
			t.Errorf("%v, %v", outcomes, err)
		}
	}
}

// TestManyOpenAtOnce: the schema is made once, and all see one identity.
func TestManyOpenAtOnce(t *testing.T) {
	o := options(newDatabase(t))
	ids := make([]string, 8)
	var opening sync.WaitGroup
	for i := range ids {
		opening.Go(func() {
			s, err := postgres.Open(t.Context(), o)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			id, err := s.Identify(t.Context())
			if err != nil {
				t.Error(err)
			}
			ids[i] = id.ID
		})
	}
	opening.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Errorf("identities %q", ids)
		}
	}
}

// TestAnotherStore: a server's name that comes to mean another database is not signed with.
func TestAnotherStore(t *testing.T) {
	database := newDatabase(t)
	p := newProxy(t, shared.Address())
	s := open(t, plain(p.Address(), database))
	administrate(t, database, "UPDATE meta SET value = repeat('0', 32) WHERE name = 'store_id'")
	p.CloseAll()
	claims := []slashing.Claim{{Vote: slashing.Block{Slot: 1}}}
	outcomes, err := s.Advance(t.Context(), claims) // on the connection that was cut
	if err == nil {
		t.Fatalf("recorded %v", outcomes)
	}
	if outcomes, err = s.Advance(t.Context(), claims); !errors.Is(err, postgres.ErrServer) || !errors.Is(err, slashing.ErrUnavailable) {
		t.Errorf("%v, %v", outcomes, err)
	}
}

// TestMissingTable: a database that cannot take votes gives errors, and is used again once it can.
func TestMissingTable(t *testing.T) {
	database := newDatabase(t)
	s := open(t, options(database))
	administrate(t, database, "ALTER TABLE blocks RENAME TO gone")
	claims := []slashing.Claim{{Vote: slashing.Block{Slot: 1}}}
	if outcomes, err := s.Advance(t.Context(), claims); !errors.Is(err, slashing.ErrUnavailable) {
		t.Errorf("without its table: %v, %v", outcomes, err)
	}
	administrate(t, database, "ALTER TABLE gone RENAME TO blocks")
	if outcomes, err := s.Advance(t.Context(), claims); err != nil || outcomes[0].Standing != claims[0].Vote {
		t.Errorf("with it again: %v, %v", outcomes, err)
	}
}

// TestForgetfulServers: one that does not sync, and a standby of another.
func TestForgetfulServers(t *testing.T) {
	primary, err := postgrestest.Start("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = primary.Stop() }()
	database, _, err := primary.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := func(s *postgrestest.Server) postgres.Options {
		return postgres.Options{
			URL: s.PlainURL(s.Address(), database), Dial: new(net.Dialer).DialContext, PoolSize: 2, Timeout: 5 * time.Second,
		}
	}
	refused(t, o(primary), postgres.ErrServer, "its fsync is off")

	standby, err := primary.StartStandby()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = standby.Stop() }()
	refused(t, o(standby), postgres.ErrServer, "it is a standby or still recovering")
}
