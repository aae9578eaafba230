package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/postgres"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// TestPlacesOfLostConnections: a connection that falls silent, without being closed, gives its place back at once, in the smallest pool
// too. One that did so while it rested is not noticed by the caller.
func TestPlacesOfLostConnections(t *testing.T) {
	key := store.Key{PublicKey: storetest.Public(1), Version: 1, Status: store.Active}
	next := store.Key{PublicKey: key.PublicKey, Version: 2, Status: store.Active}
	read := func(ctx context.Context, k *postgres.Keys) error {
		_, err := k.Get(ctx, key.PublicKey)
		return err
	}
	write := func(ctx context.Context, k *postgres.Keys) error { return k.Put(ctx, next) }
	for _, tc := range []struct {
		name, from string
		want       error
		call       func(ctx context.Context, k *postgres.Keys) error
	}{
		{"read, while it rested", "begin", nil, read},
		{"read, the answer", "WHERE public_key", store.ErrUnavailable, read},
		{"write, while it rested", "begin", nil, write},
		{"write, a statement", "SET last = last", store.ErrUnavailable, write},
		{"write, the commit", "commit", store.ErrOutcomeUnknown, write},
		{"check, while it rested", "begin", nil, func(ctx context.Context, k *postgres.Keys) error { return k.Check(ctx) }},
		{"check, the answer", "pg_is_in_recovery", store.ErrUnavailable, func(ctx context.Context, k *postgres.Keys) error { return k.Check(ctx) }},
		{"changes, the answer", "pg_postmaster_start_time", store.ErrUnavailable, func(ctx context.Context, k *postgres.Keys) error {
			_, _, err := k.Changes(ctx, 0)
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, o := proxied(t, shared)
			o.PoolSize, o.Timeout = 1, 4*time.Second
			k := openKeys(t, o)
			defer k.Close()
			o.URL, o.Timeout = shared.URL(database(o)), time.Minute
			direct := openKeys(t, o)
			defer direct.Close()
			if err := direct.Put(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			fell := false // the next connection does not
			p.Spoil(false, func(fromClient bool, data []byte) postgrestest.Verdict {
				if fromClient && !fell && bytes.Contains(data, []byte(tc.from)) {
					fell = true
					return postgrestest.Swallow
				}
				return postgrestest.Pass
			})
			if err := tc.call(patient(t), k); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			if err := read(patient(t), k); err != nil {
				t.Errorf("the next call: %v", err)
			}
			p.Spoil(false, nil)
			if !fell {
				t.Error("no connection fell silent")
			}
		})
	}
}

// TestReadOnlyServer: it can be read, and the check says that it takes no writes.
func TestReadOnlyServer(t *testing.T) {
	o := fresh(t)
	k := openKeys(t, o)
	put(t, k, 1)
	_ = k.Close()
	if err := shared.Exec(t.Context(), "postgres", "ALTER DATABASE "+database(o)+" SET default_transaction_read_only = on"); err != nil {
		t.Fatal(err)
	}
	k = openKeys(t, o)
	defer k.Close()
	if f := loaded(t, k); len(f.Seen) != 1 {
		t.Errorf("%d keys", len(f.Seen))
	}
	if err := k.Check(t.Context()); !errors.Is(err, store.ErrShape) || !strings.Contains(err.Error(), "default_transaction_read_only") {
		t.Errorf("the check: %v", err)
	}
	if err := k.Delete(t.Context(), storetest.Public(1), 1); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a write: %v", err)
	}
	s, err := postgres.OpenState(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Check(t.Context()); !errors.Is(err, store.ErrShape) {
		t.Errorf("the check of the state: %v", err)
	}
}
