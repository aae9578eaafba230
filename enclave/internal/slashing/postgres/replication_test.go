package postgres_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

// lonely is a server of its own, which can be told to wait for a synchronous standby that does not exist.
type lonely struct {
	*postgrestest.Lonely
	store *postgres.Store
}

func newLonely(t *testing.T) *lonely {
	t.Helper()
	server, err := postgrestest.StartLonely(t.Context())
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
	// The role does not want to hear the server's warnings. The store must, all the same.
	if err := server.Exec(t.Context(), "postgres", "ALTER ROLE "+postgrestest.Role+" SET client_min_messages = 'error'"); err != nil {
		t.Fatal(err)
	}
	return &lonely{server, open(t, postgres.Options{
		URL: server.PlainURL(server.Address(), database), Dial: new(net.Dialer).DialContext, PoolSize: 2, Timeout: 20 * time.Second,
	})}
}

// wait has commits wait for the standby, or no longer.
func (l *lonely) wait(t *testing.T, names string) {
	t.Helper()
	if err := l.Wait(t.Context(), names); err != nil {
		t.Fatal(err)
	}
}

// cancel cancels the waits of other processes than one, until one was cancelled or the call is over.
func (l *lonely) cancel(t *testing.T, but int, said <-chan error) (pid int) {
	t.Helper()
	pid, err := l.Cancel(t.Context(), but, said)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// kept makes calls, with a number that rises, until one waits for the standby. What the call returns will be in said.
func (l *lonely) kept(t *testing.T, call func(n uint64) error) (said <-chan error) {
	t.Helper()
	said, err := l.Hold(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	return said
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
