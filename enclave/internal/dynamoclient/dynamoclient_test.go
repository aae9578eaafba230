package dynamoclient_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service answers each request as it is told to.
type service struct {
	*httptest.Server
	asked atomic.Int64 // requests
}

// serve starts a service.
func serve(t *testing.T, start func(*httptest.Server), answer http.HandlerFunc) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		answer(w, r)
	}))
	start(s.Server)
	t.Cleanup(s.Close)
	return s
}

// fail is an answer in the form of DynamoDB's errors; more goes after the message.
func fail(status int, code, more string) http.HandlerFunc {
	return say(status, `{"__type":"com.amazonaws.dynamodb.v20120810#`+code+`","message":"because"`+more+`}`)
}

func say(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// options are those of a table at an endpoint.
func options(endpoint string) dynamoclient.Options {
	return dynamoclient.Options{
		Table: "any", Region: "eu-central-1", Endpoint: endpoint, Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "made-up", ""),
		Dial: new(net.Dialer).DialContext, Timeout: time.Minute,
	}
}

// open makes a table, and closes it when the test ends.
func open(t *testing.T, o dynamoclient.Options) *dynamoclient.Table {
	t.Helper()
	table, err := dynamoclient.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(table.Close)
	return table
}

// put is a request.
func put(table *dynamoclient.Table) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := table.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: aws.String("any"), Item: map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: "k"}},
		})
		return err
	}
}

// try sends a request that may take all the time there is.
func try(ctx context.Context, table *dynamoclient.Table, request func(context.Context) error) (dynamoclient.Fate, error) {
	return table.Try(ctx, func(left time.Duration) time.Duration { return left }, 0, request)
}
