package kms

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

const (
	// requestLimit bounds one try.
	requestLimit = 10 * time.Second
	// maxAnswer is the most bytes of an answer that are read; the longest, a secret of 4096 bytes in an envelope, takes about 6500.
	maxAnswer = 64 << 10
)

// newAPI makes the SDK's client, of no region in particular. It connects by o.Dial alone, without a proxy, for each request anew: they are
// hours apart.
func newAPI(o Options) *kms.Client {
	transport := &http.Transport{
		// The transport goes on connecting when its caller has left: a silent host would be waited for.
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, requestLimit)
			defer cancel()
			return o.Dial(ctx, network, address)
		},
		TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    requestLimit,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswer,
	}
	return kms.New(kms.Options{
		Credentials: aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			c, err := o.Credentials.Retrieve(ctx)
			if err != nil {
				err = &credentialsError{"AWS credentials: " + err.Error()}
			}
			return c, err
		}),
		HTTPClient: &http.Client{
			Timeout: requestLimit,
			// A redirected request would take the secret of Encrypt elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport:     bounded{transport},
		},
		// What is sent again is decided by send: the SDK's own retryer asks the environment.
		Retryer: aws.NopRetryer{},
	})
}

// credentialsError is why there are no credentials. It is text, because as a value it would be taken for an answer of KMS.
type credentialsError struct{ text string }

func (e *credentialsError) Error() string { return e.text }

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
