package e2e

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// TestSynchronousReplica: what was signed is at the standby. While that is silent nothing is signed, also not when the signer is
// asked again for what the primary has on record already; and after a failover to it no signature is contradicted.
func TestSynchronousReplica(t *testing.T) {
	if testing.Short() { // databases are services
		return
	}
	s, primary := newSite(t, 8), newDatabaseServer(t)
	standby := newStandby(t, primary)
	waitForStandby(t, primary)
	name := newAddress(t, primary.Address())
	url := s.configure(t, "config.yaml", database(primary, name.port, "slashing")+", write_timeout_seconds: 1")
	first := s.signer(t, "config.yaml", url)
	signed := storetest.NewHistory()
	before := duties(t, s.keys, s.now-10, 5, 1)
	ask(t, url, signed, before).check(t, "votes that the standby gets", http.StatusOK, len(before), 0)

	if err := standby.Pause(); err != nil {
		t.Fatal(err)
	}
	var votes []duty
	for _, key := range s.keys {
		votes = append(votes, attests(t, key, s.now-1, s.now, 1))
	}
	for _, what := range []string{"votes while the standby is silent", "the same votes again"} {
		ask(t, url, signed, votes).check(t, what, http.StatusServiceUnavailable, len(votes), 0)
	}
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	first.terminate()
	if err := standby.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}

	name.move(standby.Address())
	s.signer(t, "config.yaml", url)
	others := duties(t, s.keys, s.now-10, 5, 2)
	ask(t, url, signed, others).check(t, "alternatives of what was signed", http.StatusPreconditionFailed, len(others), 0)
	others = duties(t, s.keys, s.now, 1, 2)
	if o := ask(t, url, signed, others); o.conflicts > 0 {
		t.Errorf("%d of the votes that nobody got a signature for were contradicted by one", o.conflicts)
	}
}

// waitForStandby has commits wait for the standby from now on. Each look is a statement of its own: a session learns of new settings
// only between two.
func waitForStandby(t *testing.T, primary *postgrestest.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := primary.Connect(ctx, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, statement := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	for synchronous := false; !synchronous; {
		err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync') FROM pg_sleep(0.01)").Scan(&synchronous)
		if err != nil {
			t.Fatal(err)
		}
	}
}
