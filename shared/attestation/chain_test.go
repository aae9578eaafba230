package attestation_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// at changes the certificate at one place.
func at(place int, change func(*x509.Certificate)) func(int, *x509.Certificate) {
	return func(p int, c *x509.Certificate) {
		if p == place {
			change(c)
		}
	}
}

func TestChainRefused(t *testing.T) {
	for name, test := range map[string]struct {
		h     hostile
		step  attestation.Step
		words string
	}{
		// A P-521 leaf makes a well-known verifier panic before anything is trusted.
		"P-521 leaf":         {hostile{curve: map[int]elliptic.Curve{leaf: elliptic.P521()}}, attestation.StepChain, "P-521 key, want P-384"},
		"P-256 leaf":         {hostile{curve: map[int]elliptic.Curve{leaf: elliptic.P256()}}, attestation.StepChain, "P-256 key, want P-384"},
		"P-521 intermediate": {hostile{curve: map[int]elliptic.Curve{zonal: elliptic.P521()}}, attestation.StepChain, "P-521 key, want P-384"},
		"P-256 root":         {hostile{curve: map[int]elliptic.Curve{root: elliptic.P256()}}, attestation.StepChain, "P-256 key, want P-384"},
		"leaf is CA": {
			hostile{cert: at(leaf, func(c *x509.Certificate) { c.IsCA = true })},
			attestation.StepChain, "is a certificate authority",
		},
		"leaf without digitalSignature": {
			hostile{cert: at(leaf, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageContentCommitment })},
			attestation.StepChain, "no key usage digitalSignature",
		},
		"leaf with path length": {
			hostile{cert: at(leaf, func(c *x509.Certificate) {
				c.BasicConstraintsValid = false
				c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 2, 1, 0}}}
			})},
			attestation.StepChain, "path length 0 without",
		},
		"leaf with unknown critical extension": {
			hostile{cert: at(leaf, func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 25, 1}, Critical: true, Value: []byte{5, 0}}}
			})},
			attestation.StepChain, "unhandled critical extension",
		},
		"instance is no CA": {
			hostile{cert: at(instance, func(c *x509.Certificate) { c.IsCA, c.MaxPathLen, c.MaxPathLenZero = false, 0, false })},
			attestation.StepChain, "cannot sign this kind of certificate",
		},
		"instance without keyCertSign": {
			hostile{cert: at(instance, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })},
			attestation.StepChain, "x509:",
		},
		"root without key usage": {
			hostile{cert: at(root, func(c *x509.Certificate) { c.KeyUsage = 0 })},
			attestation.StepChain, "no key usage keyCertSign",
		},
		"path length": {
			hostile{cert: at(regional, func(c *x509.Certificate) { c.MaxPathLen = 1 })},
			attestation.StepChain, "too many intermediates",
		},
		"leaf expired":     {hostile{cert: at(leaf, expired)}, attestation.StepChain, "is after"},
		"instance expired": {hostile{cert: at(instance, expired)}, attestation.StepChain, "is after"},
		"zonal expired":    {hostile{cert: at(zonal, expired)}, attestation.StepChain, "is after"},
		"regional expired": {hostile{cert: at(regional, expired)}, attestation.StepChain, "is after"},
		"root expired":     {hostile{cert: at(root, expired)}, attestation.StepChain, "is after"},
		"leaf too early": {
			hostile{cert: at(leaf, func(c *x509.Certificate) { c.NotBefore = now.Add(attestation.Leeway + time.Second) })},
			attestation.StepChain, "is before",
		},
		"garbage leaf": {
			hostile{fields: func(f *issuer.Fields) { f.Certificate = []byte{0x30, 0} }},
			attestation.StepChain, "certificate: x509:",
		},
		"garbage in bundle": {
			hostile{fields: func(f *issuer.Fields) { f.CABundle[2] = []byte{0x30, 0} }},
			attestation.StepChain, "cabundle[2]: x509:",
		},
		"P-521 in bundle": { // it leads nowhere, but would be tried
			hostile{fields: func(f *issuer.Fields) { f.CABundle = append(f.CABundle, selfSigned(t, elliptic.P521())) }},
			attestation.StepChain, "cabundle[4]: has a P-521 key, want P-384",
		},
		"intermediate missing": {
			hostile{fields: func(f *issuer.Fields) { f.CABundle = f.CABundle[:3] }},
			attestation.StepChain, "unknown authority",
		},
		"CA as leaf": {
			hostile{fields: func(f *issuer.Fields) { f.Certificate = f.CABundle[instance] }},
			attestation.StepChain, "is a certificate authority",
		},
		"root as leaf": {
			hostile{fields: func(f *issuer.Fields) { f.Certificate = f.CABundle[root] }},
			attestation.StepChain, "is a certificate authority",
		},
	} {
		t.Run(name, func(t *testing.T) {
			raw, trusted := test.h.make(t)
			doc, err := attestation.Verify(raw, attestation.Options{Roots: []*x509.Certificate{trusted}, Now: now})
			refusedAt(t, doc, err, test.step, test.words)
		})
	}
}

func selfSigned(t *testing.T, curve elliptic.Curve) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, honest(instance), honest(instance), key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func expired(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }

func TestForeignRoot(t *testing.T) {
	raw, own := hostile{}.make(t)
	_, other := hostile{}.make(t)
	for name, roots := range map[string][]*x509.Certificate{"AWS by default": nil, "AWS": {attestation.AWSRoot()}, "namesake": {other}} {
		t.Run(name, func(t *testing.T) {
			doc, err := attestation.Verify(raw, attestation.Options{Roots: roots, Now: now})
			refusedAt(t, doc, err, attestation.StepChain, "unknown authority")
		})
	}
	if _, err := attestation.Verify(raw, attestation.Options{Roots: []*x509.Certificate{other, own}, Now: now}); err != nil {
		t.Errorf("one of two roots: %v", err)
	}
	for region, words := range map[string]string{"us-gov-west-1": "GovCloud", "cn-north-1": "China"} {
		raw, _ := hostile{cert: at(leaf, func(c *x509.Certificate) { c.Subject.CommonName = "i-1-enc2." + region + ".aws" })}.make(t)
		doc, err := attestation.Verify(raw, attestation.Options{Now: now})
		refusedAt(t, doc, err, attestation.StepChain, words)
		_, err = attestation.Verify(raw, attestation.Options{Roots: []*x509.Certificate{other}, Now: now})
		if err == nil || strings.Contains(err.Error(), "not compiled in") {
			t.Errorf("a root of our own is no question of partitions: %v", err)
		}
	}
}

func TestBundleNeedsNoRoot(t *testing.T) {
	raw, trusted := hostile{fields: func(f *issuer.Fields) { f.CABundle = f.CABundle[1:] }}.make(t)
	if _, err := attestation.Verify(raw, attestation.Options{Roots: []*x509.Certificate{trusted}, Now: now}); err != nil {
		t.Error(err)
	}
}

func TestNotAfterIsTheEarliestEnd(t *testing.T) {
	for place := root; place <= leaf; place++ {
		end := now.Add(time.Minute)
		raw, trusted := hostile{cert: at(place, func(c *x509.Certificate) { c.NotAfter = end })}.make(t)
		doc, err := attestation.Verify(raw, attestation.Options{Roots: []*x509.Certificate{trusted}, Now: now})
		if err != nil || !doc.NotAfter.Equal(end) {
			t.Errorf("certificate %d ends first: got %v, %v", place, doc, err)
		}
	}
}

// The root may stand in the bundle, and counts if it does not.
func TestNotBeforeIsTheLatestBeginning(t *testing.T) {
	for place := root; place <= leaf; place++ {
		begin := now.Add(-time.Second)
		h := hostile{
			cert:   at(place, func(c *x509.Certificate) { c.NotBefore = begin }),
			fields: func(f *issuer.Fields) { f.CABundle = f.CABundle[1:] },
		}
		doc, err := verify(t, h, attestation.Options{})
		if err != nil || !doc.NotBefore.Equal(begin) {
			t.Errorf("certificate %d begins last: got %v, %v", place, doc, err)
		}
	}
}

// TestClockBehind: a clock is forgiven that is a little behind, whichever certificate begins last.
func TestClockBehind(t *testing.T) {
	for place := root; place <= leaf; place++ {
		begin := now.Add(-time.Second)
		raw, trusted := hostile{cert: at(place, func(c *x509.Certificate) { c.NotBefore = begin })}.make(t)
		for _, behind := range []time.Duration{0, time.Second, attestation.Leeway} {
			if _, err := attestation.Verify(raw, attestation.Options{Roots: []*x509.Certificate{trusted}, Now: begin.Add(-behind)}); err != nil {
				t.Errorf("%v behind %s: %v", behind, placeNames[place], err)
			}
		}
		doc, err := attestation.Verify(raw, attestation.Options{Roots: []*x509.Certificate{trusted}, Now: begin.Add(-attestation.Leeway - time.Millisecond)})
		refusedAt(t, doc, err, attestation.StepChain, "is before")
	}
}

// TestLocalClock is that of a caller who names no time, with the age measured by it too.
func TestLocalClock(t *testing.T) {
	begin := time.Now()
	h := hostile{
		cert: func(_ int, c *x509.Certificate) {
			c.NotBefore, c.NotAfter = begin.Add(-time.Hour), begin.Add(time.Hour)
		},
		fields: func(f *issuer.Fields) { f.Timestamp = uint64(begin.UnixMilli()) },
	}
	raw, trusted := h.make(t)
	cache := attestation.NewCache(1)
	for range 2 {
		for _, verify := range []func([]byte, attestation.Options) (*attestation.Document, error){attestation.Verify, cache.Verify} {
			if _, err := verify(raw, attestation.Options{Roots: []*x509.Certificate{trusted}, MaxAge: 10 * time.Minute}); err != nil {
				t.Error(err)
			}
		}
	}
}
