package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
	tables "github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/dynamodb"
)

// chamberServers are the services that hold the state of chambers.
type chamberServers struct {
	database *postgrestest.Server
	tables   *dynamodbtest.Server
}

// startChamberServers starts them, and has this test's processes ask AWS's services as the role.
func startChamberServers(t *testing.T) *chamberServers {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", chamberKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", chamberSecret)
	t.Setenv("AWS_SESSION_TOKEN", "")
	s := &chamberServers{}
	var err error
	if s.database, err = postgrestest.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.database.Stop(); err != nil {
			t.Error(err)
		}
	})
	if s.tables, err = dynamodbtest.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.tables.Stop)
	return s
}

// newDatabase makes one, and returns its name.
func (s *chamberServers) newDatabase(t *testing.T) string {
	t.Helper()
	name, _, err := s.database.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// overTLS is what a section says of a database.
func (s *chamberServers) overTLS(database string) string {
	return fmt.Sprintf("backend: postgres, url: %q, ca_pem: %q", s.database.URL(database), strings.Join(strings.Fields(string(s.database.CAPEM())), " "))
}

// newTables makes tables for state and keys, which are reached at an endpoint.
func (s *chamberServers) newTables(t *testing.T, endpoint string) (state, keys string) {
	t.Helper()
	o := tables.Options{
		Table: s.tables.TableName() + "-state", Region: dynamodbtest.Region, Endpoint: s.tables.Endpoint(), Credentials: s.tables.Credentials(),
		Dial: new(net.Dialer).DialContext, Timeout: 10 * time.Second,
	}
	if err := tables.MakeState(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	reached := func() string {
		return fmt.Sprintf("table: %s, region: %s, endpoint: %q", o.Table, o.Region, endpoint)
	}
	state = "backend: dynamodb, " + reached()
	o.Table = s.tables.TableName() + "-keys"
	if err := tables.MakeKeys(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return state, "dynamodb: {" + reached()
}

// keyRows are the stored keys beside the signer state.
const keyRows = "database: {enabled: true"

// postgres has everything in databases, and dynamodb in tables.
func (s *chamberServers) postgres(t *testing.T) chamberStores {
	t.Helper()
	return chamberStores{s.overTLS(s.newDatabase(t)), keyRows, s.overTLS(s.newDatabase(t))}
}

func (s *chamberServers) dynamodb(t *testing.T) chamberStores {
	t.Helper()
	state, keys := s.newTables(t, s.tables.Endpoint())
	table, err := s.tables.NewTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return chamberStores{state, keys, fmt.Sprintf("backend: dynamodb, region: %s, dynamodb: {table: %s, endpoint: %q}", dynamodbtest.Region, table, s.tables.Endpoint())}
}

// sqlite has state and keys in a file that two processes share. They cannot share one for slashing protection, which is in a database.
func (s *chamberServers) sqlite(t *testing.T) chamberStores {
	t.Helper()
	return chamberStores{"backend: sqlite, path: " + filepath.Join(t.TempDir(), "state.sqlite"), keyRows, s.overTLS(s.newDatabase(t))}
}
