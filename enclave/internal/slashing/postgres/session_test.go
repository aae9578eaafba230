package postgres_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
)

// pooler rewrites a setting in the first message of a connection, as a pooler does that has settings of its own.
type pooler struct {
	net.Conn
	setting, other []byte // name, value
	begun          bool
}

func (p *pooler) Write(data []byte) (int, error) {
	if p.begun {
		return p.Conn.Write(data)
	}
	p.begun = true
	changed := bytes.Replace(data, p.setting, p.other, 1)
	binary.BigEndian.PutUint32(changed, uint32(len(changed))) // a startup message begins with its length
	if _, err := p.Conn.Write(changed); err != nil {
		return 0, err
	}
	return len(data), nil
}

// TestSettingsThatAreNotOurs: a store whose settings do not reach the server is not opened.
func TestSettingsThatAreNotOurs(t *testing.T) {
	for _, tc := range []struct{ setting, other, words string }{
		{"synchronous_commit\x00on\x00", "synchronous_commit\x00local\x00", "synchronous_commit is local although we set it on"},
		{
			"default_transaction_isolation\x00read committed\x00", "default_transaction_isolation\x00repeatable read\x00",
			"its transactions are repeatable read although we set read committed",
		},
	} {
		o := plain(shared.Address(), newDatabase(t))
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			return &pooler{Conn: conn, setting: []byte(tc.setting), other: []byte(tc.other)}, err
		}
		refused(t, o, postgres.ErrServer, tc.words)
	}
}

// TestSettingsOfSessions: the server works by our settings while it records a vote, those that bound a wait above all.
func TestSettingsOfSessions(t *testing.T) {
	database := newDatabase(t)
	s := open(t, options(database))
	administrate(t, database, "CREATE TABLE seen (name text, setting text)", "GRANT ALL ON seen TO signer",
		`CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO seen SELECT name, setting FROM pg_settings WHERE source = 'client' OR name LIKE '%timeout'; RETURN NEW; END $$`,
		`CREATE TRIGGER see BEFORE INSERT ON blocks FOR EACH ROW EXECUTE FUNCTION see()`)
	if _, err := s.Advance(t.Context(), []slashing.Claim{{Vote: slashing.Block{Slot: 1}}}); err != nil {
		t.Fatal(err)
	}
	conn, err := shared.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	got, name, setting := map[string]string{}, "", ""
	rows, _ := conn.Query(t.Context(), "SELECT name, setting FROM seen")
	if _, err := pgx.ForEachRow(rows, []any{&name, &setting}, func() error { got[name] = setting; return nil }); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"statement_timeout": "5000", "lock_timeout": "500", "idle_in_transaction_session_timeout": "30000", "tcp_user_timeout": "15000",
		"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3", "application_name": "containment-chamber",
		"synchronous_commit": "on", "default_transaction_isolation": "read committed", "client_min_messages": "warning", "client_encoding": "UTF8",
		"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}
