package storm

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

// servers are started when a test first needs them, and stopped by TestMain.
var servers struct {
	mu       sync.Mutex
	postgres *postgrestest.Server
	dynamodb *dynamodbtest.Server
}

func stopServers() error {
	servers.mu.Lock()
	defer servers.mu.Unlock()
	var err error
	if servers.postgres != nil {
		err = servers.postgres.Stop()
	}
	if servers.dynamodb != nil {
		servers.dynamodb.Stop()
	}
	return err
}

func postgresServer(t *testing.T) *postgrestest.Server {
	t.Helper()
	servers.mu.Lock()
	defer servers.mu.Unlock()
	if servers.postgres == nil {
		s, err := postgrestest.Start()
		if err != nil {
			t.Fatal(err)
		}
		servers.postgres = s
	}
	return servers.postgres
}

func dynamodbServer(t *testing.T) *dynamodbtest.Server {
	t.Helper()
	servers.mu.Lock()
	defer servers.mu.Unlock()
	if servers.dynamodb == nil {
		s, err := dynamodbtest.Start()
		if err != nil {
			t.Fatal(err)
		}
		servers.dynamodb = s
	}
	return servers.dynamodb
}

// place is an empty store that signers can be configured to use.
type place struct {
	name   string
	server string // address of the server; "" for a file
	file   string // "" for a server
	// at is the section anti_slashing with the server reached at an address, its own or a proxy's, and a limit for writes in seconds.
	at func(address string, limit int) string
	// names says whether what a signer sends to the server has a key in it.
	names func(key bls.PublicKey) func(data []byte) bool
}

// section is anti_slashing as in production.
func (p place) section() string { return p.at(p.server, 5) }

// eachPlace runs a test for every kind of store, at the same time.
func eachPlace(t *testing.T, test func(t *testing.T, p place)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newFile(t))
	})
	eachServer(t, test)
}

// eachServer runs a test for every kind of store that is reached over a network, at the same time.
func eachServer(t *testing.T, test func(t *testing.T, p place)) {
	t.Helper()
	for name, fresh := range map[string]func(*testing.T) place{"postgres": newDatabase, "dynamodb": newTable} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t))
		})
	}
}

func newFile(t *testing.T) place {
	t.Helper()
	path := filepath.Join(t.TempDir(), "slashing.sqlite")
	return place{name: "sqlite", file: path, at: func(_ string, limit int) string {
		return fmt.Sprintf("{backend: sqlite, sqlite: {path: %s}, write_timeout_seconds: %d}", path, limit)
	}}
}

func newDatabase(t *testing.T) place {
	t.Helper()
	return databaseOf(t, postgresServer(t))
}

func databaseOf(t *testing.T, s *postgrestest.Server) place {
	t.Helper()
	name, _, err := s.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return place{name: "postgres", server: s.Address(), at: func(address string, limit int) string {
		return fmt.Sprintf("{backend: postgres, url: %q, write_timeout_seconds: %d}", s.PlainURL(address, name), limit)
	}, names: func(key bls.PublicKey) func([]byte) bool {
		return func(data []byte) bool { return bytes.Contains(data, key[:]) } // arguments are sent as they are
	}}
}

func newTable(t *testing.T) place {
	t.Helper()
	s := dynamodbServer(t)
	table, err := s.NewTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return place{name: "dynamodb", server: s.Address(), at: func(address string, limit int) string {
		return fmt.Sprintf("{backend: dynamodb, region: %s, dynamodb: {table: %s, endpoint: %q}, write_timeout_seconds: %d}",
			dynamodbtest.Region, table, "http://"+address, limit)
	}, names: func(key bls.PublicKey) func([]byte) bool {
		return func(data []byte) bool {
			return bytes.Contains(data, []byte(base64.StdEncoding.EncodeToString(key[:]))) // as JSON holds bytes
		}
	}}
}
