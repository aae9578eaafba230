package awscreds

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

const (
	// requestLimit bounds one request.
	requestLimit = 10 * time.Second
	// maxAnswer is the most bytes of an answer that are read; credentials are a few KiB.
	maxAnswer = 64 << 10
)

// newClient makes a client that connects by o.Dial alone, without a proxy, for each request anew: they are hours apart.
func newClient(o Options) *http.Client {
	return &http.Client{
		Timeout: requestLimit,
		// A redirected request would take the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: bounded{&http.Transport{
			DialContext:            o.Dial,
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    requestLimit,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxAnswer,
		}},
	}
}

// bounded reads no endless answers, and sends nothing of the environment: the SDK puts AWS_EXECUTION_ENV and a trace of AWS Lambda into
// headers, which are not signed.
type bounded struct{ http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "containment-chamber/"+wire.Release)
	r.Header.Del("X-Amzn-Trace-Id")
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = &body{answer.Body, maxAnswer}
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
