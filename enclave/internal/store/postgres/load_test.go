package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/postgres"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
)

// proxied are options of an empty database of a server that is reached through a proxy.
func proxied(t *testing.T, s *postgrestest.Server) (*postgrestest.Proxy, postgres.Options) {
	t.Helper()
	name, _, err := s.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := postgrestest.NewProxy(l, new(net.Dialer).DialContext, s.Address())
	t.Cleanup(p.Close)
	o := fresh(t)
	o.URL, o.Dial = s.PlainURL(p.Address(), name), new(net.Dialer).DialContext
	return p, o
}

// database is the name of the one that options lead to.
func database(o postgres.Options) string {
	name, _, _ := strings.Cut(o.URL[strings.LastIndex(o.URL, "/")+1:], "?")
	return name
}

// fill puts 2000 keys, every second of them inactive, into a database: two whole pages of a load, and one that is empty.
func fill(t *testing.T, database string) {
	t.Helper()
	err := shared.Exec(t.Context(), database,
		`INSERT INTO containment_keys SELECT decode(lpad(to_hex(n), 96, '0'), 'hex'), 1, CASE n % 2 WHEN 0 THEN 'active' ELSE 'inactive' END, n, '', 0, 0
FROM generate_series(1, 2000) AS n`, `UPDATE containment_keys_changes SET last = 2000`)
	if err != nil {
		t.Fatal(err)
	}
}

// lastOfPage is the last key of the first page of what fill makes.
func lastOfPage() (public [48]byte) {
	public[46], public[47] = 1000>>8, 1000&0xff
	return public
}

// TestLoadPages: a load of several pages has every key once, and one that stops between two pages yields none.
func TestLoadPages(t *testing.T) {
	l, o := lined(t)
	k := openKeys(t, o)
	defer k.Close()
	const keys = 2000
	fill(t, database(o))
	seen := map[[48]byte]int{}
	load := func(ctx context.Context, statuses ...store.Status) (store.Cursor, error) {
		clear(seen)
		return k.Load(ctx, statuses, 1, func(key store.Key) error {
			seen[key.PublicKey]++
			return nil
		})
	}
	if cursor, err := load(t.Context(), store.Active, store.Inactive); err != nil || cursor != keys || len(seen) != keys {
		t.Errorf("%d keys, cursor %d, %v", len(seen), cursor, err)
	}
	for public, n := range seen {
		if n != 1 {
			t.Errorf("key %x was yielded %d times", public, n)
		}
	}
	if _, err := load(t.Context(), store.Inactive); err != nil || len(seen) != keys/2 {
		t.Errorf("%d inactive keys, %v", len(seen), err)
	}
	ctx := patient(t)
	last := lastOfPage()
	l.silence(string(last[:]))
	if _, err := load(ctx, store.Active, store.Inactive); !errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil || len(seen) > 0 {
		t.Errorf("%d keys of a load that did not end, %v (%v)", len(seen), err, ctx.Err())
	}
	l.restore()
}

// TestLoadMoment: a load of several pages is of one moment, and so of one server. What others change meanwhile, in pages that were read
// and in pages that were not, is told as changes.
func TestLoadMoment(t *testing.T) {
	p, o := proxied(t, shared)
	k := openKeys(t, o)
	defer k.Close()
	o.URL = shared.URL(database(o))
	writer := openKeys(t, o)
	defer writer.Close()
	fill(t, database(o))
	first, last := lastOfPage(), lastOfPage()
	first[47]--
	last[47]++
	changed := false
	p.Spoil(false, func(fromClient bool, data []byte) postgrestest.Verdict {
		if key := lastOfPage(); fromClient && !changed && bytes.Contains(data, key[:]) {
			changed = true
			if err := errors.Join(writer.Delete(t.Context(), first, 1), writer.Delete(t.Context(), last, 1)); err != nil {
				t.Error(err)
			}
		}
		return postgrestest.Pass
	})
	f := storetest.Follower{Keys: k, Seen: map[[48]byte]store.Key{}}
	var err error
	f.Cursor, err = k.Load(t.Context(), []store.Status{store.Active, store.Inactive}, 1, func(key store.Key) error {
		f.Seen[key.PublicKey] = key
		return nil
	})
	p.Spoil(false, nil)
	if err != nil || !changed || len(f.Seen) != 2000 || f.Cursor != 2000 || f.Seen[last].Status == store.Deleted {
		t.Errorf("%d keys, cursor %d, changed meanwhile: %v, %v", len(f.Seen), f.Cursor, changed, err)
	}
	if f.Poll(t); f.Cursor != 2002 || f.Seen[first].Status != store.Deleted || f.Seen[last].Status != store.Deleted {
		t.Errorf("cursor %d; the keys that were deleted meanwhile are %v and %v", f.Cursor, f.Seen[first].Status, f.Seen[last].Status)
	}
}
