package postgres_test

import (
	"flag"
	"net"
	"os"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// shared is the server of all tests that do not break it.
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

// options reach a database of the shared server over TLS.
func options(database string) postgres.Options {
	return postgres.Options{
		URL:      shared.URL(database),
		CAs:      shared.CAs(),
		Dial:     new(net.Dialer).DialContext,
		PoolSize: 8,
		Timeout:  5 * time.Second,
		// The name localhost may mean ::1 too, where the server does not listen.
		ForceIPv4: true,
	}
}

// plain reach it at an address, such as a proxy's, without TLS.
func plain(address, database string) postgres.Options {
	o := options(database)
	o.URL = shared.PlainURL(address, database)
	return o
}

// newDatabase makes an empty database at the shared server, and returns its name.
func newDatabase(t testing.TB) string {
	t.Helper()
	name, _, err := shared.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func open(t testing.TB, o postgres.Options) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestContract(t *testing.T) {
	fresh := func(t *testing.T) storetest.Place {
		database := newDatabase(t)
		return storetest.Place{Open: func() slashing.Store { return open(t, options(database)) }}
	}
	storetest.Run(t, fresh)
	storetest.RunLedger(t, fresh)
}
