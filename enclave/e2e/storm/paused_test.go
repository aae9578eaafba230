package storm

import (
	"net/http"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

// TestStoreStops: the processes of the database stop where they are, as on a machine that hangs. What must be recorded is answered
// with 503, what need not be is signed all the time, and when they go on all is as before.
func TestStoreStops(t *testing.T) {
	t.Parallel()
	server, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	p := databaseOf(t, server)
	o := open(t, p.at(p.server, 1))
	o.wellAgain()
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	over := time.After(*pause)
	o.each(1, unlucky)
	exempt := o.exempt.Load()
	o.life.await(func() bool { return o.exempt.Load() >= exempt+10 })
	<-over
	began := time.Now()
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	o.wellAgain()
	recovery := time.Since(began)
	o.life.await(func() bool { return o.life.get("/healthcheck") == http.StatusOK })
	o.finish()
	t.Logf("stopped for %v: %v, of them %d that need no store; recovery of all clients %v",
		*pause, o.book.tally(), o.exempt.Load(), recovery.Round(time.Millisecond))
}
