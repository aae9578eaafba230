package postgres_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/postgres"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// TestAbandonedStandby: a commit whose wait for the synchronous standby was cancelled is no success, although the server says so. Nor is
// the same write when it finds what the first one left, until the standby has that.
func TestAbandonedStandby(t *testing.T) {
	l, err := postgrestest.StartLonely(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	name, _, err := l.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The role does not want to hear the server's warnings. The store must, all the same.
	if err := l.Exec(t.Context(), "postgres", "ALTER ROLE "+postgrestest.Role+" SET client_min_messages = 'error'"); err != nil {
		t.Fatal(err)
	}
	o := postgres.Options{
		URL: l.PlainURL(l.Address(), name), Dial: new(net.Dialer).DialContext, PoolSize: 2, Timeout: 20 * time.Second,
	}
	k := openKeys(t, o)
	t.Cleanup(func() { _ = k.Close() })
	s, err := postgres.OpenState(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for name, call := range map[string]func(n uint64) error{
		"key": func(n uint64) error {
			return k.Put(t.Context(), store.Key{PublicKey: storetest.Public(1), Version: n, Status: store.Active})
		},
		"item":                   func(n uint64) error { return s.Put(t.Context(), store.Item{Name: "i", Version: n}) },
		"item that is not there": func(n uint64) error { return s.Delete(t.Context(), "gone", n) },
	} {
		t.Run(name, func(t *testing.T) {
			var last uint64
			said, err := l.Hold(t.Context(), func(n uint64) error {
				last = n
				return call(n)
			})
			if err != nil {
				t.Fatal(err)
			}
			abandon := func(which string, said <-chan error) {
				if pid, err := l.Cancel(t.Context(), 0, said); pid == 0 || err != nil {
					t.Errorf("%s did not wait for the standby: %v", which, err)
				}
				if err := <-said; !errors.Is(err, store.ErrOutcomeUnknown) || errors.Is(err, store.ErrUnavailable) {
					t.Errorf("%s, cancelled: %v", which, err)
				}
			}
			abandon("the first", said)
			abandon("the same again", l.Call(func() error { return call(last) }))
			if err := l.Wait(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			if err := call(last); err != nil {
				t.Errorf("the same once no standby is waited for: %v", err)
			}
		})
	}
}
