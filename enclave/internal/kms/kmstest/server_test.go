package kmstest

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

func TestOptionsRefused(t *testing.T) {
	roots := []*x509.Certificate{attestation.AWSRoot()}
	good := Key{ARN: keyA, Policy: []byte(everything)}
	for _, tc := range []struct {
		options Options
		want    string
	}{
		{Options{Roots: roots, Keys: []Key{good}}, ""},
		{Options{Keys: []Key{good}}, "no root"},
		{Options{Roots: roots, Keys: []Key{good, good}}, keyA + `": it is there twice`},
		{Options{Roots: roots, Keys: []Key{{ARN: "arn:aws:kms:eu-central-1:1:key/a", Policy: good.Policy}}}, "not of the form"},
		{Options{Roots: roots, Keys: []Key{{ARN: keyA}}}, keyA + `": policy: want an object`},
		{Options{Roots: roots, Keys: []Key{{ARN: keyA, Policy: good.Policy, State: "Gone"}}}, `state: "Gone"`},
		{Options{Roots: roots, Keys: []Key{{ARN: keyA, Policy: good.Policy, Material: []byte("short")}}}, "material: 5 bytes"},
		{Options{Roots: roots, Principals: []Principal{{ARN: "arn:aws:iam::1:role/x"}}}, "not the ARN"},
		{Options{Roots: roots, Principals: []Principal{{ARN: "arn:aws:iam::111122223333:root"}}}, "not the ARN"},
		{Options{Roots: roots, Principals: []Principal{{ARN: signer}, {ARN: signer}}}, "twice"},
		{Options{Roots: roots, Principals: []Principal{{ARN: signer, AccessKey: AccessKey{ID: "A"}}}}, "only one"},
		{Options{Roots: roots, Principals: []Principal{{ARN: "arn:aws:iam::111122223333:user/u", WebIdentityToken: "t"}}}, "a user has no sessions"},
		{Options{Roots: roots, Principals: []Principal{{ARN: signer, AccessKey: AccessKey{ID: "A", Secret: "s"}}, {ARN: other, AccessKey: AccessKey{ID: "A", Secret: "s"}}}}, "another's"},
	} {
		s, err := New(tc.options)
		if tc.want == "" && err != nil || tc.want != "" && (s != nil || err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%v, want %q", err, tc.want)
		}
	}
}

// TestCertificates: the server goes by AWS's names, and its authority can be kept for the next start.
func TestCertificates(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Hosts = []string{"kms.test"} })
	config, err := r.TLSConfig()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kms.eu-central-1.amazonaws.com", "sts.us-east-1.amazonaws.com", "sts.amazonaws.com", "localhost", "127.0.0.1", "kms.test"} {
		if _, err := config.Certificates[0].Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: r.Pool()}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := config.Certificates[0].Leaf.VerifyHostname("kms.eu-west-1.amazonaws.com"); err == nil {
		t.Error("it has the name of a region without keys")
	}
	cert, key, err := r.CA().MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseCA(cert, key)
	if err != nil || !again.Certificate.Equal(r.CA().Certificate) {
		t.Errorf("read again: %v", err)
	}
	stranger, err := NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseCA(stranger.PEM(), key); err == nil {
		t.Error("another's certificate is taken for this key's")
	}
	leaf := config.Certificates[0]
	if _, err := ParseCA(cert, nil); err == nil || leaf.Leaf.IsCA {
		t.Error("an authority without a key, or a leaf that is one")
	}
	pool := x509.NewCertPool()
	pool.AddCert(stranger.Certificate)
	if c, err := tls.Dial("tcp", strings.TrimPrefix(r.URL, "https://"), &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}); err == nil {
		c.Close()
		t.Error("a client without this authority trusts the server")
	}
}

// TestSessionsRefused: only roles have sessions.
func TestSessionsRefused(t *testing.T) {
	r := newRig(t, nil)
	for _, tc := range []struct{ role, name string }{{"arn:aws:iam::111122223333:user/ops", "s1"}, {"arn:aws:iam::111122223333:role/nobody", "s1"}, {signer, "a/b"}, {signer, ""}} {
		if c, err := r.NewSession(tc.role, tc.name, 0); err == nil || c.HasKeys() {
			t.Errorf("%v: %v", tc, err)
		}
	}
}
