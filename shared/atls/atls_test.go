package atls_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

func clientConfig(t *testing.T, o atls.Options) *tls.Config {
	t.Helper()
	config, err := atls.ClientConfig(o)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestAccepted(t *testing.T) {
	a := newAuthority(t)
	digest := [48]byte{7}
	var peers []atls.Peer
	o := a.options()
	o.Policy.ConfigDigest, o.Policy.MaxAge, o.OnVerified = &digest, 2*time.Hour, func(p atls.Peer) { peers = append(peers, p) }
	state, err := dial(t, server{}.start(t, a), clientConfig(t, o))
	if err != nil {
		t.Fatal(err)
	}
	if state.Version != tls.VersionTLS13 || len(peers) != 1 {
		t.Fatalf("version %x, %d peers", state.Version, len(peers))
	}
	p := peers[0]
	if p.Label != "image" || p.Proof != nil || p.Binding.Build != "v1" || p.Binding.Config != digest || p.Document.PCRs[0] != image[0] || !p.Certificate.Equal(state.PeerCertificates[0]) {
		t.Errorf("got %+v", p)
	}
	if !p.NotAfter.Equal(now.Add(time.Hour)) {
		t.Errorf("proof ends %v, want the certificate's end", p.NotAfter)
	}
}

// The proof ends with whatever ends first.
func TestNotAfter(t *testing.T) {
	for name, test := range map[string]struct {
		certificate, age, set time.Duration
		want                  time.Duration
	}{
		"certificate": {time.Hour, 2 * time.Hour, 2 * time.Hour, time.Hour},
		"document":    {24 * time.Hour, 0, 0, 3 * time.Hour},
		"age":         {24 * time.Hour, time.Minute, 2 * time.Hour, time.Minute},
		"set":         {24 * time.Hour, 2 * time.Hour, time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			var end time.Time
			o := a.options()
			o.OnVerified = func(p atls.Peer) { end = p.NotAfter }
			o.Policy.MaxAge = test.age
			if test.set > 0 {
				o.Policy.Sets = []attestation.Set{{PCRs: policy.Sets[0].PCRs, Expires: now.Add(test.set)}}
			}
			s := server{template: func(c *x509.Certificate) { c.NotAfter = now.Add(test.certificate) }}
			if _, err := dial(t, s.start(t, a), clientConfig(t, o)); err != nil {
				t.Fatal(err)
			}
			if !end.Equal(now.Add(test.want)) {
				t.Errorf("proof ends %v, want %v from now", end, test.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	certificate := func(change func(*x509.Certificate)) server { return server{template: change} }
	payload := func(change func(*issuer.Payload)) server { return server{payload: change} }
	for name, test := range map[string]struct {
		server  server
		options func(*atls.Options)
		check   atls.Check
		words   string
	}{
		"two certificates": {
			server{chain: func(c [][]byte) [][]byte { return append(c, c[0]) }}, nil, atls.CheckCertificate, "2 certificates, want 1",
		},
		"expired": {
			certificate(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }), nil, atls.CheckCertificate, "expired at 2026-03-01T11:59:59Z",
		},
		"not yet valid": {
			certificate(func(c *x509.Certificate) { c.NotBefore = now.Add(attestation.Leeway + time.Second) }), nil,
			atls.CheckCertificate, "not valid before",
		},
		"unknown critical extension": {
			certificate(func(c *x509.Certificate) {
				c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 25, 1}, Critical: true, Value: []byte{5, 0}})
			}), nil, atls.CheckCertificate, "critical extensions that are not understood",
		},
		"signed by another": {server{after: func(der []byte) { der[len(der)-1] ^= 1 }}, nil, atls.CheckCertificate, "not signed by its own key"},
		"no extension": {
			certificate(func(c *x509.Certificate) { c.ExtraExtensions = nil }), nil, atls.CheckExtension, "the server is not attested",
		},
		"critical extension": {
			server{extensions: func(e []pkix.Extension) []pkix.Extension { e[0].Critical = true; return e }},
			nil,
			atls.CheckCertificate, "critical extensions that are not understood",
		},
		"no octet string": {
			server{extensions: func(e []pkix.Extension) []pkix.Extension { e[0].Value = []byte{5, 0}; return e }},
			nil,
			atls.CheckExtension, "not one DER OCTET STRING",
		},
		"two octet strings": {
			server{extensions: func(e []pkix.Extension) []pkix.Extension { e[0].Value = append(e[0].Value, 4, 0); return e }},
			nil,
			atls.CheckExtension, "not one DER OCTET STRING",
		},
		"garbage document": {
			server{extensions: func([]pkix.Extension) []pkix.Extension { return []pkix.Extension{atls.Extension([]byte("x"))} }},
			nil,
			atls.CheckDocument, "decoding: envelope",
		},
		"AWS root by default": {server{}, func(o *atls.Options) { o.Roots = nil }, atls.CheckDocument, "unknown authority"},
		"old document": {
			server{issued: now.Add(-2 * time.Minute)}, func(o *atls.Options) { o.Policy.MaxAge = time.Minute }, atls.CheckDocument, "2m0s ago",
		},
		"document's chain ended": {
			certificate(func(c *x509.Certificate) { c.NotAfter = now.Add(24 * time.Hour) }),
			func(o *atls.Options) { o.Now = func() time.Time { return now.Add(3*time.Hour + time.Second) } },
			atls.CheckDocument, "is after",
		},
		"other image": {
			payload(func(p *issuer.Payload) { p.PCRs = map[int]attestation.PCR{0: {9}, 1: {2}, 2: {3}} }), nil, atls.CheckPolicy, `closest is set 0 "image": PCR0 is 09`,
		},
		"debug mode": {
			payload(func(p *issuer.Payload) { p.PCRs = map[int]attestation.PCR{0: {}, 1: {}, 2: {}} }), nil, atls.CheckPolicy, "debug mode",
		},
		"no user data":      {payload(func(p *issuer.Payload) { p.UserData = nil }), nil, atls.CheckBinding, "no user_data"},
		"garbage user data": {payload(func(p *issuer.Payload) { p.UserData = []byte("x") }), nil, atls.CheckBinding, "binding:"},
		"no user data for a digest": {
			payload(func(p *issuer.Payload) { p.UserData = nil }), func(o *atls.Options) { o.Policy.ConfigDigest = &[48]byte{7} }, atls.CheckBinding, "no user_data",
		},
		"other image, no user data": {
			payload(func(p *issuer.Payload) { p.UserData, p.PCRs = nil, map[int]attestation.PCR{0: {9}, 1: {2}, 2: {3}} }), nil, atls.CheckPolicy, "PCR0 is 09",
		},
		"expired set": {
			server{},
			func(o *atls.Options) { o.Policy.Sets = []attestation.Set{{PCRs: policy.Sets[0].PCRs, Expires: now}} },
			atls.CheckPolicy, "the set expired at 2026-03-01T12:00:00Z",
		},
		"older build": {
			server{binding: func(b *atls.Binding) { b.Build = "1.2.3" }},
			func(o *atls.Options) {
				o.Policy.Sets = []attestation.Set{{PCRs: policy.Sets[0].PCRs, MinBuild: "1.2.4"}}
			},
			atls.CheckPolicy, `build "1.2.3" is not a version from 1.2.4 on`,
		},
		// A document that was seen elsewhere does not help whoever lacks that key.
		"foreign key": {server{binding: func(b *atls.Binding) { b.SPKI[0] ^= 1 }}, nil, atls.CheckBinding, "another key"},
		"purpose proof": {
			server{binding: func(b *atls.Binding) { b.Purpose, b.Exporter = atls.PurposeProof, [32]byte{1} }}, nil, atls.CheckBinding, `for purpose "proof", want "certificate"`,
		},
		"purpose kms": {server{binding: func(b *atls.Binding) { b.Purpose = atls.PurposeKMS }}, nil, atls.CheckBinding, `for purpose "kms"`},
		"other configuration": {
			server{}, func(o *atls.Options) { o.Policy.ConfigDigest = &[48]byte{8} }, atls.CheckPolicy, "configuration refused: its digest is 07",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			o := a.options()
			o.OnVerified = func(p atls.Peer) { t.Errorf("verified %+v", p) }
			if test.options != nil {
				test.options(&o)
			}
			_, err := dial(t, test.server.start(t, a), clientConfig(t, o))
			e, ok := errors.AsType[*atls.Error](err)
			if !ok || e.Check != test.check || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v, want a failure of %v with %q", err, test.check, test.words)
			}
		})
	}
}

// What package tls refuses before it asks us.
func TestRefusedInHandshake(t *testing.T) {
	for name, test := range map[string]struct {
		server server
		words  string
	}{
		"TLS 1.2":        {server{config: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }}, "protocol version"},
		"two extensions": {server{extensions: func(e []pkix.Extension) []pkix.Extension { return append(e, e[0]) }}, "duplicate extension"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			if _, err := dial(t, test.server.start(t, a), clientConfig(t, a.options())); err == nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v, want %q", err, test.words)
			}
		})
	}
}

func TestErrorsAreTyped(t *testing.T) {
	a := newAuthority(t)
	o := a.options()
	o.Policy = attestation.Policy{Sets: []attestation.Set{{PCRs: attestation.Measurements{0: {9}}}}}
	_, err := dial(t, server{}.start(t, a), clientConfig(t, o))
	if e, ok := errors.AsType[*attestation.PolicyError](err); !ok || e.Differences[0].Register != 0 {
		t.Errorf("got %v, want a policy error", err)
	}
	o = a.options()
	o.Roots = nil
	_, err = dial(t, server{}.start(t, a), clientConfig(t, o))
	if e, ok := errors.AsType[*attestation.Error](err); !ok || e.Step != attestation.StepChain {
		t.Errorf("got %v, want an error of the document's chain", err)
	}
}

func TestPolicyIsRequired(t *testing.T) {
	zero := attestation.Set{PCRs: attestation.Measurements{0: {}}}
	for _, p := range []attestation.Policy{{}, {Sets: []attestation.Set{{}}}, {Sets: []attestation.Set{zero}}} {
		config, err := atls.ClientConfig(atls.Options{Policy: p})
		if config != nil || err == nil || !strings.Contains(err.Error(), "attested TLS: policy") {
			t.Errorf("policy %v: got %v, %v", p, config != nil, err)
		}
	}
	if _, err := atls.ClientConfig(atls.Options{}); !errors.Is(err, attestation.ErrEmptyPolicy) {
		t.Errorf("got %v", err)
	}
	perConnection := policy
	perConnection.Proof = attestation.ProofPerConnection
	if config, err := atls.ClientConfig(atls.Options{Policy: perConnection}); config != nil || !errors.Is(err, atls.ErrNeedsTransport) {
		t.Errorf("a proof per connection: got %v, %v", config != nil, err)
	}
}

func TestNoResumption(t *testing.T) {
	a := newAuthority(t)
	verified := 0
	o := a.options()
	o.OnVerified = func(atls.Peer) { verified++ }
	config := clientConfig(t, o)
	address := server{}.start(t, a)

	for range 2 {
		if state, err := dial(t, address, config); err != nil || state.DidResume {
			t.Errorf("resumed %v, %v", state.DidResume, err)
		}
	}
	if verified != 2 {
		t.Errorf("verified %d times in 2 connections", verified)
	}

	// A caller who switches sessions on gets an error, not a connection whose proof is from another time.
	config = config.Clone()
	config.SessionTicketsDisabled, config.ClientSessionCache, config.ServerName = false, tls.NewLRUClientSessionCache(1), "signer"
	if _, err := dial(t, address, config); err != nil {
		t.Fatal(err)
	}
	_, err := dial(t, address, config)
	if e, ok := errors.AsType[*atls.Error](err); !ok || e.Check != atls.CheckConnection || !strings.Contains(err.Error(), "resumed") {
		t.Errorf("got %v, want a refused resumption", err)
	}
}

// TestCopiedCertificate: anybody can take the certificate from a handshake and show it, but not prove that the key in it is theirs.
func TestCopiedCertificate(t *testing.T) {
	a := newAuthority(t)
	s := server{config: func(c *tls.Config) { c.Certificates[0].PrivateKey = newKey(t) }}
	if _, err := dial(t, s.start(t, a), clientConfig(t, a.options())); err == nil || !strings.Contains(err.Error(), "invalid signature by the server certificate") {
		t.Errorf("got %v, want a handshake that fails", err)
	}
}

func TestClockBehind(t *testing.T) {
	a := newAuthority(t)
	s := server{template: func(c *x509.Certificate) { c.NotBefore = now }}
	o := a.options()
	o.Now = func() time.Time { return now.Add(-attestation.Leeway) }
	if _, err := dial(t, s.start(t, a), clientConfig(t, o)); err != nil {
		t.Error(err)
	}
}

func TestOID(t *testing.T) {
	if got := atls.OID().String(); got != "2.25.2121235557.1" {
		t.Errorf("got %s: other people's clients look for the old one", got)
	}
	if e := atls.Extension([]byte{1, 2}); e.Critical || !e.Id.Equal(atls.OID()) || string(e.Value) != "\x04\x02\x01\x02" {
		t.Errorf("got %+v", e)
	}
}
