package pgpool_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgpool"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

// sound is what a server says that keeps what it has committed.
func sound() pgpool.Session {
	return pgpool.Session{Fsync: "on", SynchronousCommit: "on", ReadOnly: "off", Isolation: "read committed", MinMessages: "warning"}
}

func TestRefusal(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(s *pgpool.Session)
		want   string
	}{
		{"sound", func(*pgpool.Session) {}, ""},
		{"read-only", func(s *pgpool.Session) { s.ReadOnly = "on" }, ""},
		{"silent", func(s *pgpool.Session) { s.MinMessages = "error" }, "client_min_messages is error although we set it to warning; is a connection pooler between?"},
		{"a standby", func(s *pgpool.Session) { s.Recovering = true }, "it is a standby or still recovering; name the primary"},
		{"no fsync", func(s *pgpool.Session) { s.Fsync = "off" }, "its fsync is off, so that a crash loses votes; want on"},
		{
			"commits that are not awaited", func(s *pgpool.Session) { s.SynchronousCommit = "local" },
			"synchronous_commit is local although we set it on; is a connection pooler between?",
		},
		{
			"another isolation", func(s *pgpool.Session) { s.Isolation = "repeatable read" },
			"its transactions are repeatable read although we set read committed; is a connection pooler between?",
		},
		{"nothing known", func(s *pgpool.Session) { *s = pgpool.Session{} }, "its fsync is , so that a crash loses votes; want on"},
	} {
		s, got := sound(), ""
		tc.change(&s)
		if err := s.Refusal("votes"); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestWritable(t *testing.T) {
	for setting, want := range map[string]string{
		"off": "<nil>", "on": "its transactions are read-only (default_transaction_read_only)", "": "its transactions are read-only (default_transaction_read_only)",
	} {
		s := sound()
		if s.ReadOnly = setting; fmt.Sprint(s.Writable()) != want {
			t.Errorf("%q: %v, want %s", setting, s.Writable(), want)
		}
	}
}

// TestAsk: a server's answer is about the session that asks.
func TestAsk(t *testing.T) {
	database := newDatabase(t)
	for _, tc := range []struct {
		name      string
		statement string
		change    func(s *pgpool.Session)
	}{
		{"as it is", "SELECT", func(*pgpool.Session) {}},
		{"read-only", "ALTER DATABASE " + database + " SET default_transaction_read_only = on", func(s *pgpool.Session) { s.ReadOnly = "on" }},
		{"what we set ourselves", "ALTER DATABASE " + database + " SET synchronous_commit = off", func(s *pgpool.Session) { s.ReadOnly = "on" }},
		{"and for the role", "ALTER ROLE " + postgrestest.Role + " IN DATABASE " + database + " SET client_min_messages = 'error'", func(s *pgpool.Session) {
			s.ReadOnly = "on"
		}},
	} {
		if err := shared.Exec(t.Context(), "postgres", tc.statement); err != nil {
			t.Fatal(err)
		}
		want := sound()
		tc.change(&want)
		got, err := ask(t, options(database))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v; (-want +got):\n%s", tc.name, err, diff)
		}
	}
}

// TestAskWhoForgets: a server that does not sync says so, and a standby that it is one.
func TestAskWhoForgets(t *testing.T) {
	primary, err := postgrestest.Start("fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = primary.Stop() }()
	standby, err := primary.StartStandby()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = standby.Stop() }()
	forgetful, old := sound(), sound()
	forgetful.Fsync = "off"
	old.Recovering, old.ReadOnly = true, "on"
	for server, want := range map[*postgrestest.Server]pgpool.Session{primary: forgetful, standby: old} {
		o := options("")
		o.URL = server.PlainURL(server.Address(), "postgres")
		got, err := ask(t, o)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v; (-want +got):\n%s", err, diff)
		}
	}
}
