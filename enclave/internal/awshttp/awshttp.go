// Package awshttp makes the HTTP client for rare and secret requests to AWS.
package awshttp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

const (
	// RequestLimit bounds one request, and each of its steps.
	RequestLimit = 10 * time.Second
	// MaxAnswer is the most bytes of an answer that are read, and of its headers: credentials, and envelopes of KMS, are a few KiB.
	MaxAnswer = 64 << 10
)

// New makes a client that connects by dial alone, without a proxy, for each request anew: they are hours apart. Nil roots are the system's.
func New(dial func(ctx context.Context, network, address string) (net.Conn, error), roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout: RequestLimit,
		// A redirected request would take what it carries elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: bounded{&http.Transport{
			// The transport goes on connecting when its caller has left: a silent host would be waited for.
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, RequestLimit)
				defer cancel()
				return dial(ctx, network, address)
			},
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    RequestLimit,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: MaxAnswer,
		}},
	}
}

// bounded reads no endless answers, and sends nothing of the environment: the SDK puts AWS_EXECUTION_ENV and a trace of AWS Lambda into
// headers, which are not signed.
type bounded struct{ *http.Transport }

// RoundTrip implements [http.RoundTripper].
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "containment-chamber/"+wire.Release)
	r.Header.Del("X-Amzn-Trace-Id")
	answer, err := b.Transport.RoundTrip(r)
	if err == nil {
		answer.Body = &body{answer.Body, MaxAnswer}
	}
	return answer, err
}

// body fails when more is read than may be left.
type body struct {
	io.ReadCloser
	left int
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the answer is too long")
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
