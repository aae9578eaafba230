package kms_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/secret"
)

func newSecret() secret.Bytes { return secret.New([]byte(canary)) }

func echo(t *testing.T) func(http.ResponseWriter, asked) {
	return func(w http.ResponseWriter, a asked) {
		give(t, w, reply{KeyId: a.Body.KeyId, Plaintext: []byte(canary)})
	}
}

// TestRegionIsTheKeys: each key is asked for where it is, and the request is signed for there, from many goroutines at once.
func TestRegionIsTheKeys(t *testing.T) {
	s := serve(t, echo(t))
	c := standard(t, s)
	var wg sync.WaitGroup
	for range 4 {
		for _, text := range []string{keyText, thereARN} {
			wg.Go(func() {
				if _, err := c.Decrypt(t.Context(), parse(t, text), []byte("sealed"), purpose()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	dialed := map[string]int{}
	for _, address := range s.dialed {
		dialed[address]++
	}
	if diff := cmp.Diff(map[string]int{"kms.eu-central-1.amazonaws.com:443": 4, "kms.us-east-1.amazonaws.com:443": 4}, dialed); diff != "" {
		t.Errorf("dialed, -want +got:\n%s", diff)
	}
	for _, a := range s.requests() {
		region := strings.Split(a.Body.KeyId, ":")[3]
		if a.Host != "kms."+region+".amazonaws.com" || !strings.Contains(a.Authorization, "/"+region+"/kms/aws4_request") {
			t.Errorf("%s was asked for at %s, signed with %s", a.Body.KeyId, a.Host, a.Authorization)
		}
	}
}

func TestEndpoint(t *testing.T) {
	s := serve(t, echo(t))
	o := s.options()
	o.Endpoint = func(region string) string {
		if region == "us-east-1" {
			return ""
		}
		return "https://127.0.0.1:8443"
	}
	c := client(t, o)
	for _, text := range []string{keyText, thereARN} {
		if _, err := c.Decrypt(t.Context(), parse(t, text), []byte("sealed"), purpose()); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{"127.0.0.1:8443", "kms.us-east-1.amazonaws.com:443"}, s.dialed); diff != "" {
		t.Errorf("dialed, -want +got:\n%s", diff)
	}
	for _, a := range s.requests() {
		if region := strings.Split(a.Body.KeyId, ":")[3]; !strings.Contains(a.Authorization, "/"+region+"/kms/") {
			t.Errorf("%s is signed with %s", a.Body.KeyId, a.Authorization)
		}
	}
	for _, plain := range []string{"http://127.0.0.1:8080", "127.0.0.1:8080", "HTTP://kms"} {
		o.Endpoint = func(string) string { return plain }
		_, err := client(t, o).Decrypt(t.Context(), parse(t, keyText), []byte("sealed"), purpose())
		if err == nil || !strings.Contains(err.Error(), "does not begin with https://") || len(s.dialed) != 2 {
			t.Errorf("%s: %v", plain, err)
		}
	}
}

// TestEnvironmentHasNoSay: in an enclave the parent could set it.
func TestEnvironmentHasNoSay(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": "https://evil.org", "AWS_ENDPOINT_URL_KMS": "https://evil.org", "AWS_REGION": "us-west-2",
		"AWS_DEFAULT_REGION": "us-west-2", "AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true",
		"AWS_ACCESS_KEY_ID": "AKIDEVIL", "AWS_SECRET_ACCESS_KEY": "evil", "HTTPS_PROXY": "http://evil.org:3128", "HTTP_PROXY": "http://evil.org:3128",
		"AWS_EXECUTION_ENV": "evil", "AWS_LAMBDA_FUNCTION_NAME": "evil", "_X_AMZN_TRACE_ID": "evil", "AWS_SDK_UA_APP_ID": "evil",
	} {
		t.Setenv(name, value)
	}
	s := serve(t, echo(t))
	if _, err := standard(t, s).Decrypt(t.Context(), parse(t, keyText), []byte("sealed"), purpose()); err != nil {
		t.Fatal(err)
	}
	a := s.requests()[0]
	if a.Host != "kms.eu-central-1.amazonaws.com" || !strings.Contains(a.Authorization, "AKIDEXAMPLE/") || a.Header.Get("X-Amz-Security-Token") != "token" {
		t.Errorf("asked %s with %s", a.Host, a.Authorization)
	}
	for name, values := range a.Header {
		if strings.Contains(strings.Join(values, ""), "evil") || name == "User-Agent" && !strings.HasPrefix(values[0], "containment-chamber/") {
			t.Errorf("%s: %q was sent", name, values)
		}
	}
}

func TestUntrustedServer(t *testing.T) {
	s := serve(t, echo(t))
	o := s.options()
	o.RootCAs = x509.NewCertPool()
	_, err := client(t, o).Encrypt(t.Context(), parse(t, keyText), newSecret(), purpose())
	if !errors.Is(err, kms.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") || len(s.requests()) != 0 {
		t.Errorf("got %v, and %d requests", err, len(s.requests()))
	}
	o = s.options()
	o.Dial = func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no route to kms.eu-central-1.amazonaws.com:443")
	}
	_, err = client(t, o).Encrypt(t.Context(), parse(t, keyText), newSecret(), purpose())
	if !errors.Is(err, kms.ErrUnavailable) || !strings.Contains(err.Error(), "no route to kms.eu-central-1.amazonaws.com:443") {
		t.Errorf("got %v", err)
	}
}
