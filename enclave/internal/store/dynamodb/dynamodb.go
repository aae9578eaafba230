// Package dynamodb keeps signer state and validator keys in two Amazon DynamoDB tables, for any number of replicas.
package dynamodb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// DefaultConcurrency is how many requests are under way at once if Options do not say.
const DefaultConcurrency = 64

const (
	// maxAnswer is the most bytes that an answer may have: a page is 1 MiB of items, whose JSON is longer.
	maxAnswer = 8 << 20
	// maxIdle is how long a connection is kept without use. The service closes it after about a minute.
	maxIdle = 30 * time.Second
)

// Options say which table is opened, and how.
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

// table is a table and the client that asks it.
type table struct {
	client    *dynamodb.Client
	transport *http.Transport // of client
	name      string
	rights    string // that the role needs on it
	timeout   time.Duration
	slots     chan struct{}      // holds a value for each request under way
	hangUp    context.CancelFunc // ends connection attempts
}

// newTable makes a table that has not yet been asked anything.
func newTable(o Options, rights string) (*table, error) {
	switch {
	case o.Table == "" || o.Region == "" || o.Credentials == nil || o.Dial == nil:
		return nil, errors.New("a table, a region, credentials and a dial function must be set")
	case o.Timeout <= 0 || o.Concurrency < 0:
		return nil, errors.New("a timeout must be set, and a concurrency of at least 1 unless it is left out")
	case o.Concurrency == 0:
		o.Concurrency = DefaultConcurrency
	}
	open, hangUp := context.WithCancel(context.Background())
	t := &table{
		transport: newTransport(open, o), name: o.Table, rights: rights, timeout: o.Timeout,
		slots: make(chan struct{}, o.Concurrency), hangUp: hangUp,
	}
	t.client = dynamodb.New(dynamodb.Options{
		Region: o.Region, Credentials: o.Credentials,
		HTTPClient: client{http.Client{
			Transport: t.transport,
			// A redirected request would be sent twice, and signed for another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}},
		// What is sent again, and what may be said about it then, is decided here and not by the client.
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

// newTransport keeps a connection for each request that may be under way. Connection attempts end with open.
func newTransport(open context.Context, o Options) *http.Transport {
	t := &http.Transport{
		TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    o.Timeout,
		MaxIdleConns:           o.Concurrency,
		MaxIdleConnsPerHost:    o.Concurrency,
		IdleConnTimeout:        maxIdle,
		DisableCompression:     true, // ciphertext does not shrink
		MaxResponseHeaderBytes: 64 << 10,
		Protocols:              new(http.Protocols),
		// The transport goes on connecting when its caller has left, for the next one: a silent host would be waited for.
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, o.Timeout)
			defer cancel()
			defer context.AfterFunc(open, cancel)()
			return o.Dial(ctx, network, address)
		},
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// client is an HTTP client that reads no endless answers.
type client struct{ http.Client }

// Do sends a request.
func (c client) Do(r *http.Request) (*http.Response, error) {
	answer, err := c.Client.Do(r) //nolint:gosec // the host is the operator's
	if err == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	}
	return answer, err
}

// Close implements store.State and store.Keys.
func (t *table) Close() error {
	t.hangUp()
	t.transport.CloseIdleConnections()
	return nil
}

// named has an error say which table it is about.
func (t *table) named(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s table %s: %w", what, t.name, err)
}
