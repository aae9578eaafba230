package postgres_test

import (
	"flag"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// shared is the server of all tests that do not break it.
var shared *server

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() { // a server is a service, and there is nothing to test without one
		return
	}
	var err error
	if shared, err = newServer(); err != nil {
		fmt.Fprintln(os.Stderr, "a PostgreSQL server for the tests:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// options reach a database of the shared server over TLS.
func options(database string) postgres.Options {
	return postgres.Options{
		URL:      fmt.Sprintf("postgres://signer:%s@localhost:%d/%s", password, shared.port, database),
		CAs:      shared.ca,
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
	o.URL = fmt.Sprintf("postgres://signer:%s@%s/%s?sslmode=disable", password, address, database)
	return o
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
		database := shared.database(t)
		return storetest.Place{Open: func() slashing.Store { return open(t, options(database)) }}
	}
	storetest.Run(t, fresh)
	storetest.RunLedger(t, fresh)
}
