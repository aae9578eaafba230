package attestation_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// now is the time at which hostile documents are made and verified.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// The certificates of a chain, by their place in it.
const (
	root = iota
	regional
	zonal
	instance
	leaf
)

// hostile makes a document in which anything may be wrong: an honest one, with the changes that its hooks make.
type hostile struct {
	curve   map[int]elliptic.Curve               // keys other than P-384
	cert    func(place int, c *x509.Certificate) // before it is signed
	fields  func(*issuer.Fields)                 // before they are encoded
	payload func([]byte) []byte                  // before it is signed
	raw     func([]byte) []byte                  // last of all
}

// make returns the document and the root that it should be verified against.
func (h hostile) make(t testing.TB) ([]byte, *x509.Certificate) {
	t.Helper()
	var chain [][]byte
	var parent *x509.Certificate
	var parentKey, key *ecdsa.PrivateKey
	var first *x509.Certificate
	for place := root; place <= leaf; place++ {
		curve := h.curve[place]
		if curve == nil {
			curve = elliptic.P384()
		}
		var err error
		if key, err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			t.Fatal(err)
		}
		template := honest(place)
		if h.cert != nil {
			h.cert(place, template)
		}
		if place == root {
			parent, parentKey = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, crypto.PublicKey(&key.PublicKey), parentKey)
		if err != nil {
			t.Fatal(err)
		}
		if parent, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		if place == root {
			first = parent
		}
		parentKey, chain = key, append(chain, der)
	}
	f := issuer.Fields{
		ModuleID: "i-0123456789abcdef0-enc0123456789abcdef", Digest: "SHA384", Timestamp: uint64(now.UnixMilli()),
		PCRs: map[int]attestation.PCR{0: {1}, 1: {2}, 2: {3}}, Certificate: chain[leaf], CABundle: chain[:leaf],
	}
	if h.fields != nil {
		h.fields(&f)
	}
	payload := issuer.Encode(f)
	if h.payload != nil {
		payload = h.payload(payload)
	}
	raw, err := issuer.Sign(key, payload)
	if err != nil {
		t.Fatal(err)
	}
	if h.raw != nil {
		raw = h.raw(raw)
	}
	return raw, first
}

// honest is a template as AWS's authorities would fill it in.
func honest(place int) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(int64(place) + 1), Subject: pkix.Name{CommonName: fmt.Sprintf("place %d", place)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Duration(20-place) * time.Hour),
		BasicConstraintsValid: true, IsCA: true, MaxPathLen: instance - place, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	switch place {
	case root:
		c.MaxPathLen, c.MaxPathLenZero = 0, false
	case leaf:
		c.MaxPathLen, c.MaxPathLenZero, c.IsCA = 0, false, false
		c.NotBefore, c.NotAfter = now.Add(-3*time.Second), now.Add(3*time.Hour)
		c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	}
	return c
}
