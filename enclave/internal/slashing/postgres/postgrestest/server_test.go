package postgrestest_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() { // a server is a service, and there is nothing to test without one
		return
	}
	goleak.VerifyTestMain(m)
}

func start(t *testing.T) (s *postgrestest.Server, database string) {
	t.Helper()
	s, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.DataDir()); !os.IsNotExist(err) {
			t.Errorf("the data directory after Stop: %v", err)
		}
	})
	database, _, err = s.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(t.Context(), database, "CREATE TABLE numbers (n int)", "INSERT INTO numbers VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	return s, database
}

// count is how many rows the server shows.
func count(ctx context.Context, s *postgrestest.Server, database string) (int, error) {
	conn, err := s.Connect(ctx, database)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var n int
	err = conn.QueryRow(ctx, "SELECT count(*) FROM numbers").Scan(&n)
	return n, err
}

func wantRows(t *testing.T, s *postgrestest.Server, database string, want int) {
	t.Helper()
	if n, err := count(t.Context(), s, database); err != nil || n != want {
		t.Errorf("%d rows, want %d (error %v)", n, want, err)
	}
}

func TestPauseAndKill(t *testing.T) {
	s, database := start(t)
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if n, err := count(ctx, s, database); err == nil {
		t.Errorf("a paused server answers: %d rows", n)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	wantRows(t, s, database, 1)
	if err := s.Pause(); err != nil { // a paused one can be killed too
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if n, err := count(t.Context(), s, database); err == nil {
		t.Errorf("a killed server answers: %d rows", n)
	}
	port := s.Port()
	if err := s.Restart("log_statement=none"); err != nil {
		t.Fatal(err)
	}
	wantRows(t, s, database, 1)
	if s.Port() != port {
		t.Errorf("port %d, before %d", s.Port(), port)
	}
}

func TestStandby(t *testing.T) {
	primary, database := start(t)
	standby, err := primary.StartStandby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Stop() })
	insert := func(s *postgrestest.Server, n int) error {
		return s.Exec(t.Context(), database, fmt.Sprintf("INSERT INTO numbers VALUES (%d)", n))
	}
	if err := insert(standby, 9); err == nil {
		t.Error("a standby takes writes")
	}
	if err := insert(primary, 2); err != nil {
		t.Fatal(err)
	}
	if err := primary.AwaitStandby(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRows(t, standby, database, 2)
	if err := standby.StopReceiving(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := insert(primary, 3); err != nil {
		t.Fatal(err)
	}
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRows(t, standby, database, 2)
	if err := insert(standby, 4); err != nil {
		t.Error(err)
	}
}
