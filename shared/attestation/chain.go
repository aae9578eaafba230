package attestation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// verifyChain builds the chain from the document's certificate to a root, sets from when to when it is valid, and returns the key
// of the document's certificate. The bundle's own root is worth nothing: it is a candidate like every other entry. Revocation
// lists are not consulted, as AWS advises.
func verifyChain(doc *Document, opts Options) (*ecdsa.PublicKey, error) {
	target, err := x509.ParseCertificate(doc.Certificate)
	if err != nil {
		return nil, refuse(StepChain, "certificate", err)
	}
	trusted := opts.Roots
	if len(trusted) == 0 {
		trusted = []*x509.Certificate{AWSRoot()}
	}
	roots := x509.NewCertPool()
	for _, r := range trusted {
		roots.AddCert(r)
	}
	latest := target.NotBefore
	bundle := x509.NewCertPool()
	for i, der := range doc.CABundle {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, refuse(StepChain, fmt.Sprintf("cabundle[%d]", i), err)
		}
		// Before any work with it: the search for a chain tries up to 100 signatures, and P-521 takes five times as long.
		if _, err := p384(c); err != nil {
			return nil, refuse(StepChain, fmt.Sprintf("cabundle[%d]", i), err)
		}
		if !slices.ContainsFunc(trusted, c.Equal) { // a root among the intermediates only doubles the work
			bundle.AddCert(c)
		}
		if c.NotBefore.After(latest) {
			latest = c.NotBefore
		}
	}
	chains, err := target.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: bundle, CurrentTime: forgive(opts.Now, latest), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, refuse(StepChain, "certificate", hint(err, target, opts))
	}
	key, err := checkTarget(target)
	if err != nil {
		return nil, refuse(StepChain, "certificate", err)
	}
	doc.NotBefore, doc.NotAfter = latest, target.NotAfter
	for _, chain := range chains {
		for _, ca := range chain[1:] {
			if err := checkCA(ca); err != nil {
				return nil, refuse(StepChain, fmt.Sprintf("certificate of %.80q", ca.Subject), err)
			}
			if ca.NotBefore.After(doc.NotBefore) {
				doc.NotBefore = ca.NotBefore
			}
			if ca.NotAfter.Before(doc.NotAfter) {
				doc.NotAfter = ca.NotAfter
			}
		}
	}
	return key, nil
}

// forgive moves a clock that is behind forward to begin, by at most [Leeway].
func forgive(now, begin time.Time) time.Time {
	if behind := begin.Sub(now); behind > 0 && behind <= Leeway {
		return begin
	}
	return now
}

// checkTarget adds what package x509 does not look at in a leaf.
func checkTarget(c *x509.Certificate) (*ecdsa.PublicKey, error) {
	switch {
	case c.IsCA:
		return nil, errors.New("is a certificate authority")
	case c.BasicConstraintsValid && c.MaxPathLen >= 0:
		return nil, fmt.Errorf("has path length %d without being a certificate authority", c.MaxPathLen)
	case c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return nil, errors.New("may not sign: no key usage digitalSignature")
	}
	return p384(c)
}

// checkCA adds what package x509 does not look at, in roots above all.
func checkCA(c *x509.Certificate) error {
	switch {
	case !c.BasicConstraintsValid || !c.IsCA:
		return errors.New("is no certificate authority")
	case c.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("may not sign certificates: no key usage keyCertSign")
	}
	_, err := p384(c)
	return err
}

func p384(c *x509.Certificate) (*ecdsa.PublicKey, error) {
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("has a %v key, want P-384", c.PublicKeyAlgorithm)
	}
	if key.Curve != elliptic.P384() {
		return nil, fmt.Errorf("has a %s key, want P-384", key.Params().Name)
	}
	return key, nil
}

// hint adds to a chain that leads nowhere that AWS's other partitions have roots of their own.
func hint(err error, target *x509.Certificate, opts Options) error {
	if len(opts.Roots) > 0 {
		return err
	}
	for _, p := range []struct{ region, partition string }{
		{".us-gov-", "aws-us-gov (GovCloud)"},
		{".cn-", "aws-cn (China)"},
	} {
		if strings.Contains(target.Subject.CommonName, p.region) {
			return fmt.Errorf("%w (it claims a region of partition %s, whose root is not compiled in)", err, p.partition)
		}
	}
	return err
}
