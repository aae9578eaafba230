package postgres_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

// lonely is a server of its own, which can be told to wait for a synchronous standby that does not exist.
type lonely struct {
	*postgrestest.Server
	admin *pgx.Conn
	store *postgres.Store
}

func newLonely(t *testing.T) *lonely {
	t.Helper()
	server, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	database, _, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	admin, err := server.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close(context.WithoutCancel(t.Context())) })
	// The role does not want to hear the server's warnings. The store must, all the same.
	if _, err := admin.Exec(t.Context(), "ALTER ROLE "+postgrestest.Role+" SET client_min_messages = 'error'"); err != nil {
		t.Fatal(err)
	}
	return &lonely{Server: server, admin: admin, store: open(t, postgres.Options{
		URL: server.PlainURL(server.Address(), database), Dial: new(net.Dialer).DialContext, PoolSize: 2, Timeout: 20 * time.Second,
	})}
}

// wait has commits wait for the standby, or no longer.
func (l *lonely) wait(t *testing.T, names string) {
	t.Helper()
	for _, statement := range []string{"ALTER SYSTEM SET synchronous_standby_names = '" + names + "'", "SELECT pg_reload_conf()"} {
		if _, err := l.admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// waiting is the process that waits for the standby, 0 if there is none.
func (l *lonely) waiting(t *testing.T) (pid int) {
	t.Helper()
	if err := l.admin.QueryRow(t.Context(), "SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// cancel cancels the waits of other processes than one, until one was cancelled or the call is over.
func (l *lonely) cancel(t *testing.T, but int, said <-chan error) (pid int) {
	t.Helper()
	for len(said) == 0 {
		if pid := l.waiting(t); pid != 0 && pid != but {
			if _, err := l.admin.Exec(t.Context(), "SELECT pg_cancel_backend($1)", pid); err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	return 0
}

// kept makes calls, with a number that rises, until one waits for the standby: the server begins to wait a moment after it was told
// to. What the call returns will be in said.
func (l *lonely) kept(t *testing.T, call func(n uint64) error) (said <-chan error) {
	t.Helper()
	l.wait(t, "nobody")
	for n := uint64(1); ; n++ {
		returned := make(chan error, 1)
		go func() { returned <- call(n) }()
		for len(returned) == 0 {
			if l.waiting(t) != 0 {
				return returned
			}
		}
		if err := <-returned; err != nil {
			t.Fatal(err)
		}
	}
}

// TestAbandonedStandby: a commit whose wait for the synchronous standby was cancelled is no success, although the server says so.
func TestAbandonedStandby(t *testing.T) {
	l := newLonely(t)
	vote := slashing.Block{}
	advance := func(n uint64) error {
		vote.Slot = n
		outcomes, err := l.store.Advance(t.Context(), []slashing.Claim{{Vote: vote}})
		if err == nil && !outcomes[0].Permits(vote) {
			err = errors.New("not recorded")
		}
		return err
	}
	t.Run("vote", func(t *testing.T) {
		said := l.kept(t, advance)
		if first := l.cancel(t, 0, said); l.cancel(t, first, said) == 0 {
			t.Errorf("it was not sent again")
		}
		if err := <-said; !errors.Is(err, slashing.ErrOutcomeUnknown) || errors.Is(err, slashing.ErrUnavailable) {
			t.Errorf("cancelled twice: %v", err)
		}
		l.wait(t, "")
		if err := advance(vote.Slot); err != nil {
			t.Errorf("the same vote once no standby is waited for: %v", err)
		}
	})
	t.Run("vote, once", func(t *testing.T) {
		low := vote.Slot
		said := l.kept(t, func(n uint64) error { return advance(low + n) })
		l.cancel(t, 0, said)
		l.wait(t, "")
		if err := <-said; err != nil {
			t.Errorf("cancelled, and sent again: %v", err)
		}
	})
	for name, call := range map[string]func(n uint64) error{
		"merge": func(n uint64) error {
			return l.store.Merge(t.Context(), []slashing.Record{{Attestation: &slashing.Attestation{Target: n}}})
		},
		"high watermark": func(n uint64) error {
			return l.store.SetHighWatermark(t.Context(), nil, slashing.HighWatermark{Slot: n, Epoch: n})
		},
	} {
		t.Run(name, func(t *testing.T) {
			said := l.kept(t, call)
			l.cancel(t, 0, said)
			if err := <-said; !errors.Is(err, slashing.ErrOutcomeUnknown) {
				t.Errorf("cancelled: %v", err)
			}
			l.wait(t, "")
			if err := call(1); err != nil {
				t.Errorf("again once no standby is waited for: %v", err)
			}
		})
	}
}
