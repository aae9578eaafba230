package dynamoclient

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// maxAnswer is the most bytes that an answer may have: a page of a scan is 1 MiB of items, whose JSON is longer.
	maxAnswer = 8 << 20
	// maxIdle is how long a connection is kept without use. The service closes it after about a minute; a request that meets that
	// moment is lost and must be sent again.
	maxIdle = 30 * time.Second
)

// newTransport keeps a connection for each request that may be under way. Connection attempts end with open.
func newTransport(open context.Context, o Options) *http.Transport {
	t := &http.Transport{
		TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    o.Timeout,
		MaxIdleConns:           o.Concurrency,
		MaxIdleConnsPerHost:    o.Concurrency,
		IdleConnTimeout:        maxIdle,
		DisableCompression:     true, // answers are small, or ciphertext, which does not shrink
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

// bounded is an HTTP client that reads no endless answers.
type bounded struct{ http.Client }

// Do sends a request.
func (b bounded) Do(r *http.Request) (*http.Response, error) {
	answer, err := b.Client.Do(r) //nolint:gosec // the host is the operator's
	if err == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	}
	return answer, err
}
