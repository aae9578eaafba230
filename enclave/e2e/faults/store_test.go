//go:build linux

package faults

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

// TestPostgres breaks PostgreSQL, the way to it, and what is around the signer.
func TestPostgres(t *testing.T) {
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
	database, _, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, server.Address(), func(address string) string {
		return fmt.Sprintf("{backend: postgres, url: %q, pool_size: 4, write_timeout_seconds: 1}", server.PlainURL(address, database))
	})
	must := func(s *strike, err error) {
		if err != nil {
			s.Fatal(err)
		}
	}
	w.fault("PostgreSQL is killed, and started again", func(s *strike) {
		must(s, server.Kill())
		s.bites()
		must(s, server.Restart())
	})
	w.fault("PostgreSQL stops where it is (SIGSTOP), and goes on", func(s *strike) {
		must(s, server.Pause())
		s.bites()
		must(s, server.Resume())
	})
	w.storeFaults()
	w.nameServerDies()
	w.bursts()
	w.fault("a peer reads nothing while it sends", w.deafPeer)
	w.fault("no file descriptor is left in the parent", w.descriptors)
	w.fault("clients' connections are reset", w.resetsOfClients)
	w.parentDies()
	t.Logf("%d votes were signed, none of them twice", w.book.votes())
}

// TestDynamoDB breaks the way to DynamoDB, and what is around the signer and was not broken over PostgreSQL. The server itself lives,
// because it keeps its tables in memory: what stands before it dies and hangs.
func TestDynamoDB(t *testing.T) {
	t.Parallel()
	server, err := dynamodbtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	table, err := server.NewTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, server.Address(), func(address string) string {
		return fmt.Sprintf("{backend: dynamodb, region: %s, dynamodb: {table: %s, endpoint: 'http://%s'}, write_timeout_seconds: 1}", dynamodbtest.Region, table, address)
	})
	w.fault("DynamoDB is killed, and started again", func(s *strike) {
		w.gate.shut()
		s.bites()
		w.gate.open()
	})
	w.fault("DynamoDB stops where it is, and goes on", func(s *strike) {
		defer w.gate.hang()()
		s.bites()
	})
	w.storeFaults()
	w.nameServerLies()
	w.enclaveDies()
	t.Logf("%d votes were signed, none of them twice", w.book.votes())
}

// storeFaults are those of the way to any store.
func (w *world) storeFaults() {
	w.fault("the store's connections are reset at random", func(s *strike) {
		const resets = 20
		for range resets {
			s.wait(rand.N(100 * time.Millisecond))
			w.gate.reset()
		}
		s.note("%d resets", resets)
	})
	w.fault("the store moves: the old address refuses", func(s *strike) {
		w.gate.shut()
		w.gate = w.moved(s)
	})
	w.fault("the store moves: the old address hangs", func(s *strike) {
		old := w.gate
		defer old.shut()
		defer old.hang()()
		w.gate = w.moved(s)
		w.wellAgain()
		s.note("served by the new address %v later", time.Since(s.began).Round(time.Millisecond))
	})
}

// wait lets some time pass, at any moment of which something may happen.
func (s *strike) wait(d time.Duration) {
	s.Helper()
	select {
	case <-time.After(d):
	case <-s.w.signer.Done():
		s.Fatal("the signer ended by itself")
	case <-s.w.parent.Done():
		s.Fatal("the parent ended by itself")
	}
}
