package dynamodb_test

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/dynamodb"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/storetest"
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

// options reach a table of the shared server that nobody has made yet.
func options() dynamodb.Options {
	return dynamodb.Options{
		Table: shared.TableName(), Region: dynamodbtest.Region, Endpoint: shared.Endpoint(), Credentials: shared.Credentials(),
		Dial: new(net.Dialer).DialContext, Timeout: time.Minute,
	}
}

// keysTable are options of an empty table of keys.
func keysTable(t testing.TB) dynamodb.Options {
	t.Helper()
	o := options()
	if err := dynamodb.MakeKeys(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// stateTable are options of an empty table of signer state.
func stateTable(t testing.TB) dynamodb.Options {
	t.Helper()
	o := options()
	if err := dynamodb.MakeState(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// openKeys opens keys, and closes them when the test ends.
func openKeys(t testing.TB, o dynamodb.Options) *dynamodb.Keys {
	t.Helper()
	k, err := dynamodb.OpenKeys(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

func openState(t testing.TB, o dynamodb.Options) *dynamodb.State {
	t.Helper()
	s, err := dynamodb.OpenState(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestContract(t *testing.T) {
	storetest.RunState(t, func(t *testing.T) func() store.State {
		o := stateTable(t)
		return func() store.State { return openState(t, o) }
	})
	storetest.RunKeys(t, func(t *testing.T) func() store.Keys {
		o := keysTable(t)
		return func() store.Keys { return openKeys(t, o) }
	})
}

// TestMakeTwice: a table that is there stays.
func TestMakeTwice(t *testing.T) {
	o := keysTable(t)
	put(t, openKeys(t, o), 1, 1)
	if err := dynamodb.MakeKeys(t.Context(), o); err != nil {
		t.Error(err)
	}
	if f := follow(t, openKeys(t, o)); len(f.Seen) != 1 {
		t.Errorf("%d keys", len(f.Seen))
	}
	if err := dynamodb.MakeState(t.Context(), o); !errors.Is(err, store.ErrShape) {
		t.Errorf("state in a table of keys: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	make := func(change func(in *sdk.CreateTableInput)) func(t *testing.T, name string) {
		return func(t *testing.T, name string) {
			in := &sdk.CreateTableInput{
				TableName: &name, BillingMode: types.BillingModePayPerRequest,
				KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("public_key"), KeyType: types.KeyTypeHash}},
				AttributeDefinitions: []types.AttributeDefinition{
					{AttributeName: aws.String("public_key"), AttributeType: types.ScalarAttributeTypeB},
					{AttributeName: aws.String("status_shard"), AttributeType: types.ScalarAttributeTypeS},
				},
				GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
					IndexName:  aws.String(dynamodb.Index),
					KeySchema:  []types.KeySchemaElement{{AttributeName: aws.String("status_shard"), KeyType: types.KeyTypeHash}},
					Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
				}},
			}
			change(in)
			if _, err := shared.Client().CreateTable(t.Context(), in); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tc := range []struct {
		name, words string
		make        func(t *testing.T, name string)
	}{
		{"none", "there is no table of this name in the region", func(*testing.T, string) {}},
		{"that of slashing protection", "its key is HASH key (B), want HASH public_key (B)", func(t *testing.T, name string) {
			if err := shared.MakeTable(t.Context(), name, types.ScalarAttributeTypeB, "key"); err != nil {
				t.Fatal(err)
			}
		}},
		{"no index", "it has no global secondary index named by_status", func(t *testing.T, name string) {
			if err := shared.MakeTable(t.Context(), name, types.ScalarAttributeTypeB, "public_key"); err != nil {
				t.Fatal(err)
			}
		}},
		{"another index", "it has no global secondary index named by_status", make(func(in *sdk.CreateTableInput) {
			in.GlobalSecondaryIndexes[0].IndexName = aws.String("other")
		})},
		{"an index of keys only", "its index by_status projects KEYS_ONLY, want ALL", make(func(in *sdk.CreateTableInput) {
			in.GlobalSecondaryIndexes[0].Projection.ProjectionType = types.ProjectionTypeKeysOnly
		})},
		{"an index of another type", "the key of its index by_status is HASH status_shard (N), want HASH status_shard (S)", make(func(in *sdk.CreateTableInput) {
			in.AttributeDefinitions[1].AttributeType = types.ScalarAttributeTypeN
		})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options()
			tc.make(t, o.Table)
			_, err := dynamodb.OpenKeys(t.Context(), o)
			if !errors.Is(err, store.ErrShape) || !strings.Contains(err.Error(), "keys table "+o.Table) || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("%v, want %q", err, tc.words)
			}
		})
	}
	if _, err := dynamodb.OpenState(t.Context(), dynamodb.Options{Table: "x"}); err == nil || !strings.Contains(err.Error(), "state table x: a table, a region") {
		t.Errorf("no options: %v", err)
	}
}

// put writes a version of a key, active, whose body is the version.
func put(t *testing.T, k store.Keys, n int, version uint64) {
	t.Helper()
	if err := k.Put(t.Context(), key(n, version)); err != nil {
		t.Fatal(err)
	}
}

func key(n int, version uint64) store.Key {
	return store.Key{PublicKey: storetest.Public(n), Version: version, Status: store.Active, Body: []byte{byte(version)}}
}

// follow is a replica that knows all changes so far.
func follow(t *testing.T, k store.Keys) *storetest.Follower {
	t.Helper()
	f := &storetest.Follower{Keys: k}
	f.Poll(t)
	return f
}

// BenchmarkLoad loads 10,000 keys.
func BenchmarkLoad(b *testing.B) {
	storetest.BenchmarkLoad(b, openKeys(b, keysTable(b)))
}
