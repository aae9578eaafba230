package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	slashing "github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/postgres"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
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

// fresh are options of an empty database, over TLS.
func fresh(t testing.TB) postgres.Options {
	t.Helper()
	_, url, err := shared.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return postgres.Options{
		URL: url, CAs: shared.CAs(), Dial: new(net.Dialer).DialContext, PoolSize: 8, Timeout: time.Minute,
		ForceIPv4: true, // the name localhost may mean ::1 too, where the server does not listen
	}
}

func openKeys(t testing.TB, o postgres.Options) *postgres.Keys {
	t.Helper()
	k, err := postgres.OpenKeys(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestContract(t *testing.T) {
	storetest.RunState(t, func(t *testing.T) func() store.State {
		o := fresh(t)
		return func() store.State {
			s, err := postgres.OpenState(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
	storetest.RunKeys(t, func(t *testing.T) func() store.Keys {
		o := fresh(t)
		return func() store.Keys { return openKeys(t, o) }
	})
}

// TestBesideSlashing: one database has all tables, whoever comes first, and replicas that start at once.
func TestBesideSlashing(t *testing.T) {
	for _, slashingFirst := range []bool{true, false} {
		o := fresh(t)
		protect := func() {
			s, err := slashing.Open(t.Context(), slashing.Options{
				URL: o.URL, CAs: o.CAs, Dial: o.Dial, ForceIPv4: true, PoolSize: 2, Timeout: o.Timeout,
			})
			if err != nil {
				t.Fatal(err)
			}
			_ = s.Close()
		}
		if slashingFirst {
			protect()
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				k, err := postgres.OpenKeys(t.Context(), o)
				if err != nil {
					t.Error(err)
					return
				}
				_ = k.Close()
			})
		}
		wg.Wait()
		if !slashingFirst {
			protect()
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, words string
		statements  []string
		change      func(o *postgres.Options)
	}{
		{"no tables", "its tables are of version 0, this release wants 1", nil, func(o *postgres.Options) { o.CheckOnly = true }},
		{"a later release", "its tables are of version 7, this release knows 1", []string{
			"CREATE TABLE containment_state_migrations AS SELECT 7 AS version", "GRANT ALL ON containment_state_migrations TO " + postgrestest.Role,
		}, nil},
		{"no version", "its table containment_state_migrations is empty", []string{
			"CREATE TABLE containment_state_migrations (version integer)", "GRANT ALL ON containment_state_migrations TO " + postgrestest.Role,
		}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name, url, err := shared.NewDatabase(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			o := fresh(t)
			o.URL = url
			if err := shared.Exec(t.Context(), name, tc.statements...); err != nil {
				t.Fatal(err)
			}
			if tc.change != nil {
				tc.change(&o)
			}
			_, err = postgres.OpenKeys(t.Context(), o)
			if !errors.Is(err, store.ErrShape) || !strings.Contains(err.Error(), "keys database "+name) || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("%v, want %q", err, tc.words)
			}
		})
	}
	o := fresh(t)
	o.URL = strings.Replace(o.URL, postgrestest.Password, "wrong-4712", 1)
	if _, err := postgres.OpenState(t.Context(), o); !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "4712") {
		t.Errorf("a wrong password: %v", err)
	}
}

// cutter is a connection that ends when a commit passes: before the server has it, or after.
type cutter struct {
	net.Conn
	armed *atomic.Int32 // 1 cuts before, 2 after
}

func (c cutter) Write(b []byte) (int, error) {
	if b[0] == 'Q' && bytes.HasSuffix(b, []byte("commit\x00")) { // a simple query
		switch c.armed.Swap(0) {
		case 1:
			c.Close()
			return len(b), nil
		case 2:
			n, err := c.Conn.Write(b)
			// The server has read it when it has closed its end.
			if half, ok := c.Conn.(*net.TCPConn); ok && err == nil {
				_ = half.CloseWrite()
				_, _ = new(bytes.Buffer).ReadFrom(half)
			}
			c.Close()
			return n, err
		}
	}
	return c.Conn.Write(b)
}

// TestLostCommit: nobody knows what became of a commit whose answer is lost, and the identical write may be sent again.
func TestLostCommit(t *testing.T) {
	for at, there := range map[int32]bool{1: false, 2: true} {
		var armed atomic.Int32
		o := fresh(t)
		o.URL = strings.Replace(o.URL, "@localhost", "@127.0.0.1", 1) + "?sslmode=disable" // the test reads what is sent
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			return cutter{conn, &armed}, err
		}
		k := openKeys(t, o)
		key := store.Key{PublicKey: storetest.Public(1), Version: 1, Status: store.Active, Body: []byte("x")}
		armed.Store(at)
		if err := k.Put(t.Context(), key); !errors.Is(err, store.ErrOutcomeUnknown) {
			t.Errorf("cut %d: %v, want an unknown outcome", at, err)
		}
		if _, err := k.Get(t.Context(), key.PublicKey); (err == nil) != there {
			t.Errorf("cut %d: %v", at, err)
		}
		if err := k.Put(t.Context(), key); err != nil {
			t.Errorf("cut %d, sent again: %v", at, err)
		}
		f := storetest.Follower{Keys: k}
		if f.Poll(t); len(f.Seen) != 1 {
			t.Errorf("cut %d: %d changes", at, len(f.Seen))
		}
		_ = k.Close()
	}
}

// TestSlowCommit: a writer that has its number and does not commit keeps others from committing theirs, so that a follower cannot pass
// over it.
func TestSlowCommit(t *testing.T) {
	o := fresh(t)
	k := openKeys(t, o)
	defer k.Close()
	name := o.URL[strings.LastIndex(o.URL, "/")+1:]
	conn, err := shared.Connect(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `UPDATE containment_keys_changes SET last = last + 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO containment_keys VALUES ($1, 1, 'active', 1, '', 0, 0)`, bytes.Repeat([]byte{9}, 48)); err != nil {
		t.Fatal(err)
	}
	f := storetest.Follower{Keys: k}
	done := make(chan error, 1)
	go func() {
		done <- k.Put(t.Context(), store.Key{PublicKey: storetest.Public(1), Version: 1, Status: store.Active})
	}()
	awaitLock(t)
	if f.Poll(t); f.Cursor != 0 {
		t.Errorf("the cursor is %d before anything is committed", f.Cursor)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if f.Poll(t); len(f.Seen) != 2 || f.Cursor != 2 {
		t.Errorf("%d keys, cursor %d, want 2 and 2", len(f.Seen), f.Cursor)
	}
}

// awaitLock returns when somebody waits for a lock.
func awaitLock(t *testing.T) {
	t.Helper()
	err := shared.Exec(t.Context(), "postgres", `DO $$ BEGIN
		WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted) LOOP PERFORM pg_sleep(0.01); END LOOP;
	END $$`)
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkLoad loads 10,000 keys.
func BenchmarkLoad(b *testing.B) {
	k := openKeys(b, fresh(b))
	defer k.Close()
	storetest.BenchmarkLoad(b, k)
}
