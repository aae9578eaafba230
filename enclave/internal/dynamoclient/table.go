// Package dynamoclient asks an Amazon DynamoDB table, and says what became of each request.
package dynamoclient

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// DefaultConcurrency is how many requests are under way at once if Options do not say.
const DefaultConcurrency = 64

// Options say which table is asked, and how.
type Options struct {
	// Table is the table's name, or its ARN.
	Table string
	// Region is the table's AWS region. Nothing is taken from the environment.
	Region string
	// Endpoint is the URL of the service, empty for the region's public one.
	Endpoint string
	// Credentials sign the requests.
	Credentials aws.CredentialsProvider
	// Dial reaches the service: address is host:port with the host as in the endpoint's URL.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// RootCAs vouch for the service's certificate; nil are the system's.
	RootCAs *x509.CertPool
	// Timeout bounds a connection attempt, and each request. Zero is refused.
	Timeout time.Duration
	// Concurrency is the most requests under way at once, and so the most connections that are kept; 0 is DefaultConcurrency.
	Concurrency int
}

// Table asks one table. What is sent by its Client goes by one try at most: use Try, which says what became of it. It is safe for
// concurrent use.
type Table struct {
	*dynamodb.Client
	transport *http.Transport // of Client
	timeout   time.Duration
	slots     chan struct{}      // holds a value for each request under way
	hangUp    context.CancelFunc // ends connection attempts
}

// New makes a Table that has not yet been asked anything.
func New(o Options) (*Table, error) {
	switch {
	case o.Table == "" || o.Region == "" || o.Credentials == nil || o.Dial == nil:
		return nil, errors.New("a table, a region, credentials and a dial function must be set")
	case o.Timeout <= 0 || o.Concurrency < 0:
		return nil, errors.New("a timeout must be set, and a concurrency of at least 1 unless it is left out")
	case o.Concurrency == 0:
		o.Concurrency = DefaultConcurrency
	}
	open, hangUp := context.WithCancel(context.Background())
	t := &Table{transport: newTransport(open, o), timeout: o.Timeout, slots: make(chan struct{}, o.Concurrency), hangUp: hangUp}
	t.Client = dynamodb.New(dynamodb.Options{
		Region: o.Region, Credentials: o.Credentials,
		HTTPClient: bounded{http.Client{
			Transport: t.transport,
			// A redirected request would be sent twice, and signed for another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}},
		// What is sent again, and what may be said about it then, is decided by who asks and not by the client.
		Retryer: aws.NopRetryer{},
		// The host would depend on the credentials; the route table knows one.
		AccountIDEndpointMode: aws.AccountIDEndpointModeDisabled,
		EndpointDiscovery:     dynamodb.EndpointDiscoveryOptions{EnableEndpointDiscovery: aws.EndpointDiscoveryDisabled},
	}, func(c *dynamodb.Options) {
		if o.Endpoint != "" {
			c.BaseEndpoint = &o.Endpoint
		}
	})
	return t, nil
}

// Concurrency is the most requests that are under way at once.
func (t *Table) Concurrency() int { return cap(t.slots) }

// Close ends connection attempts, and the connections that no request uses.
func (t *Table) Close() {
	t.hangUp()
	t.transport.CloseIdleConnections()
}
