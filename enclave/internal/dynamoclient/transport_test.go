package dynamoclient_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/dynamoclient"
)

func TestOptions(t *testing.T) {
	for name, change := range map[string]func(*dynamoclient.Options){
		"table":       func(o *dynamoclient.Options) { o.Table = "" },
		"region":      func(o *dynamoclient.Options) { o.Region = "" },
		"credentials": func(o *dynamoclient.Options) { o.Credentials = nil },
		"dial":        func(o *dynamoclient.Options) { o.Dial = nil },
		"timeout":     func(o *dynamoclient.Options) { o.Timeout = 0 },
		"concurrency": func(o *dynamoclient.Options) { o.Concurrency = -1 },
	} {
		o := options("")
		change(&o)
		if table, err := dynamoclient.New(o); table != nil || err == nil || !strings.Contains(err.Error(), "must be set") || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, %v", name, table, err)
		}
	}
	if n := open(t, options("")).Concurrency(); n != dynamoclient.DefaultConcurrency {
		t.Errorf("%d requests at once if nothing is said", n)
	}
}

// TestTLS: the service's certificate is verified, before anything is sent.
func TestTLS(t *testing.T) {
	s := serve(t, func(s *httptest.Server) {
		s.EnableHTTP2 = true
		s.StartTLS()
	}, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("asked by %s", r.Proto)
		}
		say(200, "{}")(w, r)
	})
	o := options(s.URL)
	stranger := open(t, o)
	if got, err := try(t.Context(), stranger, put(stranger)); got != dynamoclient.Unsent || !strings.Contains(err.Error(), "certificate") || s.asked.Load() != 0 {
		t.Errorf("a stranger's: fate %d, %v, %d requests", got, err, s.asked.Load())
	}
	o.RootCAs = x509.NewCertPool()
	o.RootCAs.AddCert(s.Certificate())
	table := open(t, o)
	if got, err := try(t.Context(), table, put(table)); got != dynamoclient.Answered {
		t.Errorf("fate %d, %v", got, err)
	}
}

// TestOneHost: whatever the credentials say, only the region's host is asked, which the route table knows.
func TestOneHost(t *testing.T) {
	o := options("")
	o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "made-up", AccountID: "111122223333"}, nil
	})
	var asked []string
	o.Dial = func(_ context.Context, network, address string) (net.Conn, error) {
		asked = append(asked, network+" "+address)
		return nil, errors.New("no route")
	}
	table := open(t, o)
	_, err := try(t.Context(), table, put(table))
	if want := []string{"tcp dynamodb.eu-central-1.amazonaws.com:443"}; err == nil || !slices.Equal(asked, want) {
		t.Errorf("asked %v, %v; want %v", asked, err, want)
	}
}

// TestNoCredentials: what cannot be signed is not sent.
func TestNoCredentials(t *testing.T) {
	s := serve(t, (*httptest.Server).Start, say(200, "{}"))
	o := options(s.URL)
	silent := errors.New("the relay is silent")
	o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, silent })
	table := open(t, o)
	if got, err := try(t.Context(), table, put(table)); got != dynamoclient.Unsent || !errors.Is(err, silent) || s.asked.Load() != 0 {
		t.Errorf("fate %d, %v, %d requests", got, err, s.asked.Load())
	}
}

// TestDialEnds: an attempt to reach a silent host goes on when its caller has left, and ends with the timeout, or with Close.
func TestDialEnds(t *testing.T) {
	const timeout, left = 10 * time.Second, 2 * time.Second
	for name, tc := range map[string]struct {
		closed bool
		want   time.Duration
	}{
		"the caller leaves": {false, timeout},
		"Close":             {true, left},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := options("")
				o.Timeout = timeout
				began := time.Now()
				ended := make(chan time.Duration, 1)
				o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
					<-ctx.Done()
					ended <- time.Since(began)
					return nil, ctx.Err()
				}
				table := open(t, o)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tc.closed {
					time.AfterFunc(left, table.Close)
				} else {
					time.AfterFunc(left, cancel)
				}
				if got, err := try(ctx, table, put(table)); got != dynamoclient.Unsent || time.Since(began) != left {
					t.Errorf("after %v: fate %d, %v", time.Since(began), got, err)
				}
				if got := <-ended; got != tc.want {
					t.Errorf("it ended after %v, want %v", got, tc.want)
				}
			})
		})
	}
}
