package postgres_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/postgres"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// ended ends a server with the test.
func ended(t *testing.T, s *postgrestest.Server, err error) *postgrestest.Server {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// loaded is a follower that starts with what is there.
func loaded(t *testing.T, k store.Keys) storetest.Follower {
	t.Helper()
	f := storetest.Follower{Keys: k, Seen: map[[48]byte]store.Key{}}
	var err error
	f.Cursor, err = k.Load(t.Context(), []store.Status{store.Active}, 1, func(key store.Key) error {
		f.Seen[key.PublicKey] = key
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// active are the versions of the active keys that a follower knows.
func active(f storetest.Follower) map[[48]byte]uint64 {
	versions := map[[48]byte]uint64{}
	for public, key := range f.Seen {
		if key.Status == store.Active {
			versions[public] = key.Version
		}
	}
	return versions
}

func put(t *testing.T, k store.Keys, n int) {
	t.Helper()
	if err := k.Put(t.Context(), store.Key{PublicKey: storetest.Public(n), Version: 1, Status: store.Active}); err != nil {
		t.Fatal(err)
	}
}

// TestFailoverToThePast: a standby that had not heard of all changes becomes the primary, at the address that the reader has, and makes
// as many changes as were lost. The reader hears of it, and what it then loads is what is there: a key that was deleted does not sign on.
func TestFailoverToThePast(t *testing.T) {
	server, err := postgrestest.Start()
	primary := ended(t, server, err)
	p, o := proxied(t, primary)
	reader := openKeys(t, o)
	defer reader.Close()
	at := func(s *postgrestest.Server) *postgres.Keys {
		direct := o
		direct.URL = s.PlainURL(s.Address(), database(o))
		return openKeys(t, direct)
	}
	writer := at(primary)
	defer writer.Close()
	put(t, writer, 1)
	put(t, writer, 2)
	server, err = primary.StartStandby()
	standby := ended(t, server, err)
	if err := errors.Join(primary.AwaitStandby(t.Context()), standby.StopReceiving(t.Context())); err != nil {
		t.Fatal(err)
	}
	put(t, writer, 3) // lost
	f := loaded(t, reader)
	if f.Poll(t); f.Cursor != 3 || len(f.Seen) != 3 {
		t.Fatalf("cursor %d, %d keys", f.Cursor, len(f.Seen))
	}

	if err := errors.Join(primary.Kill(), standby.Promote(t.Context())); err != nil {
		t.Fatal(err)
	}
	p.Lead(standby.Address())
	p.CloseAll()
	successor := at(standby)
	defer successor.Close()
	if err := successor.Delete(t.Context(), storetest.Public(2), 1); err != nil {
		t.Fatal(err)
	}
	if changed, cursor, err := reader.Changes(t.Context(), f.Cursor); !errors.Is(err, store.ErrCursor) || cursor != f.Cursor {
		t.Errorf("%d changes, cursor %d, %v; want %v", len(changed), cursor, err, store.ErrCursor)
	}
	before := f.Cursor
	f = loaded(t, reader)
	if diff := cmp.Diff(map[[48]byte]uint64{storetest.Public(1): 1}, active(f)); diff != "" || f.Cursor <= before {
		t.Errorf("loaded again, cursor %d (-want +got):\n%s", f.Cursor, diff)
	}
	put(t, successor, 4)
	if f.Poll(t); f.Seen[storetest.Public(4)].Version != 1 {
		t.Error("a change of the new primary was not told")
	}
	if _, _, err := reader.Changes(t.Context(), before); !errors.Is(err, store.ErrCursor) {
		t.Errorf("the cursor of the primary before: %v", err)
	}
}

// TestRestart: after a plain one a reader loads again, once, and goes on. A cursor that has seen nothing is good for all servers.
func TestRestart(t *testing.T) {
	server, err := postgrestest.Start()
	own := ended(t, server, err)
	name, _, err := own.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := fresh(t)
	o.URL = own.PlainURL(own.Address(), name)
	k := openKeys(t, o)
	defer k.Close()
	put(t, k, 1)
	f := loaded(t, k)
	for n := 2; n < 4; n++ {
		f.Poll(t)
		if err := errors.Join(own.Shutdown(), own.Restart()); err != nil {
			t.Fatal(err)
		}
		put(t, k, n)
		if _, _, err := k.Changes(t.Context(), f.Cursor); !errors.Is(err, store.ErrCursor) {
			t.Errorf("after a restart: %v", err)
		}
		if f = loaded(t, k); len(f.Seen) != n {
			t.Errorf("%d keys, want %d", len(f.Seen), n)
		}
		put(t, k, 10+n)
		if f.Poll(t); f.Seen[storetest.Public(10+n)].Version != 1 {
			t.Errorf("what changed since is not told: %d keys", len(f.Seen))
		}
		if err := k.Delete(t.Context(), storetest.Public(10+n), 1); err != nil {
			t.Fatal(err)
		}
	}
	if changed, _, err := k.Changes(t.Context(), 0); err != nil || len(changed) != 5 {
		t.Errorf("from the start: %d changes, %v", len(changed), err)
	}
}
