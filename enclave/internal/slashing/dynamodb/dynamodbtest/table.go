package dynamodbtest

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	// Region is the region of every table. The server has the same tables in all of them.
	Region = "eu-central-1"
	// KeyID names credentials that the server takes as it takes any.
	KeyID = "AKIACANARY4711"
	// SecretKey is theirs, made up, which nothing may print.
	SecretKey = "canary-hush-4712" //nolint:gosec // it opens nothing
)

// Address is host:port of the server.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Endpoint is the URL of the server.
func (s *Server) Endpoint() string { return "http://" + s.Address() }

// Credentials are KeyID and SecretKey.
func (*Server) Credentials() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(KeyID, SecretKey, "")
}

// Client asks the server for anything.
func (s *Server) Client() *dynamodb.Client { return s.client }

// tables is how many names were given.
var tables atomic.Int64 //nolint:gochecknoglobals // a counter of test tables

// TableName is a name that no table has.
func (*Server) TableName() string { return fmt.Sprintf("slashing-%d", tables.Add(1)) }

// NewTable makes an empty table as the slashing store wants it, and returns its name.
func (s *Server) NewTable(ctx context.Context) (string, error) {
	name := s.TableName()
	return name, s.MakeTable(ctx, name, types.ScalarAttributeTypeB, "key")
}

// MakeTable makes an empty table with a partition key and, if there is a second name, a sort key, both of a type.
func (s *Server) MakeTable(ctx context.Context, name string, of types.ScalarAttributeType, keys ...string) error {
	in := &dynamodb.CreateTableInput{TableName: &name, BillingMode: types.BillingModePayPerRequest}
	for i, key := range keys {
		kind := types.KeyTypeHash
		if i > 0 {
			kind = types.KeyTypeRange
		}
		in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: &key, KeyType: kind})
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: &key, AttributeType: of})
	}
	if _, err := s.client.CreateTable(ctx, in); err != nil {
		return fmt.Errorf("make the table %s: %w", name, err)
	}
	return nil
}

// log holds the beginning of what the server writes.
type log struct {
	mu   sync.Mutex // held while text is used
	text []byte
}

// Write implements io.Writer.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p[:min(len(p), max(0, 1<<14-len(l.text)))]...)
	return len(p), nil
}

// String implements fmt.Stringer.
func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
