package pgpool_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgpool"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/pgurl"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

// pooled is a pool as the options say.
func pooled(t *testing.T, o pgpool.Options) *pgxpool.Pool {
	t.Helper()
	target, err := pgurl.Parse(o.URL)
	if err != nil {
		t.Fatal(err)
	}
	config, err := pgpool.Configure(o, target)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func acquire(t *testing.T, pool *pgxpool.Pool) *pgxpool.Conn {
	t.Helper()
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestRelease: a connection that is lost while the other end is silent counts no more, and one that is not is used again.
func TestRelease(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := postgrestest.NewProxy(l, new(net.Dialer).DialContext, shared.Address())
	t.Cleanup(p.Close)
	o := options("")
	o.URL = shared.PlainURL(p.Address(), newDatabase(t))
	pool := pooled(t, o)
	first := acquire(t, pool)
	pid := first.Conn().PgConn().PID()
	pgpool.Release(first)
	second := acquire(t, pool)
	if again := second.Conn().PgConn().PID(); again != pid {
		t.Errorf("connection %d, then %d", pid, again)
	}
	p.Spoil(false, func(bool, []byte) postgrestest.Verdict { return postgrestest.Swallow })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := second.Exec(ctx, "SELECT"); err == nil {
		t.Error("a silent server answers")
	}
	p.Spoil(false, nil)
	pgpool.Release(second)
	if n := pool.Stat().TotalConns(); n != 0 {
		t.Errorf("%d connections in the pool", n)
	}
	pgpool.Release(acquire(t, pool))
}

// TestAbandoned: a commit whose wait for a synchronous standby was cancelled is told of once, and no other is.
func TestAbandoned(t *testing.T) {
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
	o := options("")
	o.URL, o.Timeout = l.PlainURL(l.Address(), name), time.Minute
	err = connected(t, o, func(conn *pgx.Conn) error {
		var abandoned []error
		write := func(uint64) error {
			_, err := conn.Exec(t.Context(), "CREATE TABLE IF NOT EXISTS numbers (n int); INSERT INTO numbers VALUES (1)")
			abandoned = append(abandoned, pgpool.Abandoned(conn))
			return err
		}
		said, err := l.Hold(t.Context(), write)
		if err != nil {
			return err
		}
		if _, err := l.Cancel(t.Context(), 0, said); err != nil {
			return err
		}
		if err := <-said; err != nil {
			return err
		}
		if err := l.Wait(t.Context(), ""); err != nil {
			return err
		}
		for i, err := range append(abandoned, pgpool.Abandoned(conn)) {
			if want := i == len(abandoned)-1; want != (err != nil) {
				t.Errorf("commit %d of %d: %v", i, len(abandoned), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
