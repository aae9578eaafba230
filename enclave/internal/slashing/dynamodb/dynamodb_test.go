package dynamodb_test

import (
	"flag"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// shared is the server of all tests.
var shared *dynamodbtest.Server

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() { // a server is a service, and there is nothing to test without one
		return
	}
	var err error
	if shared, err = dynamodbtest.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "a DynamoDB server for the tests:", err)
		os.Exit(1)
	}
	code := m.Run()
	shared.Stop()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// options reach a table of the shared server.
func options(table string) dynamodb.Options {
	return dynamodb.Options{
		Table:       table,
		Region:      dynamodbtest.Region,
		Endpoint:    shared.Endpoint(),
		Credentials: shared.Credentials(),
		Dial:        new(net.Dialer).DialContext,
		Timeout:     10 * time.Second,
	}
}

// table makes an empty one.
func table(tb testing.TB) string {
	tb.Helper()
	name, err := shared.NewTable(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return name
}

// open opens a store, and closes it when the test ends.
func open(tb testing.TB, o dynamodb.Options) *dynamodb.Store {
	tb.Helper()
	s, err := dynamodb.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestContract(t *testing.T) {
	fresh := func(t *testing.T) storetest.Place {
		name := table(t)
		return storetest.Place{Open: func() slashing.Store {
			s, err := dynamodb.Open(t.Context(), options(name))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}}
	}
	storetest.Run(t, fresh)
	storetest.RunLedger(t, fresh)
}
