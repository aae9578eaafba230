package dynamodb

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

const (
	// maxAnswer is the most bytes that an answer may have: a page of a scan is 1 MiB of items, whose JSON is longer.
	maxAnswer = 8 << 20
	// maxIdle is how long a connection is kept without use. The service closes it after about a minute; a request that meets that
	// moment is lost and must be sent again.
	maxIdle = 30 * time.Second
)

// newStore makes a store that has not yet asked its table anything.
func newStore(o Options) (*Store, error) {
	switch {
	case o.Table == "" || o.Region == "" || o.Credentials == nil || o.Dial == nil:
		return nil, errors.New("a table, a region, credentials and a dial function must be set")
	case o.Timeout <= 0 || o.Concurrency < 0:
		return nil, errors.New("a timeout must be set, and a concurrency of at least 1 unless it is left out")
	case o.Concurrency == 0:
		o.Concurrency = DefaultConcurrency
	}
	open, hangUp := context.WithCancel(context.Background())
	s := &Store{
		table: o.Table, timeout: o.Timeout, slots: make(chan struct{}, o.Concurrency), hangUp: hangUp,
		transport: newTransport(open, o),
	}
	none := slashing.NoHighWatermark()
	s.seen.Store(&none)
	s.client = dynamodb.New(dynamodb.Options{
		Region: o.Region, Credentials: o.Credentials,
		HTTPClient: client{http.Client{
			Transport: s.transport,
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
	return s, nil
}

// newTransport keeps a connection for each request that may be under way. Connection attempts end with open.
func newTransport(open context.Context, o Options) *http.Transport {
	t := &http.Transport{
		TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    o.Timeout,
		MaxIdleConns:           o.Concurrency,
		MaxIdleConnsPerHost:    o.Concurrency,
		IdleConnTimeout:        maxIdle,
		DisableCompression:     true, // the answers are small
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
