package attestation_test

import (
	"crypto/ecdsa"
	"crypto/sha512"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// BenchmarkVerify compares a whole verification with the checks of the standard library that are in every one: parse the chain,
// verify it, verify one P-384 signature.
func BenchmarkVerify(b *testing.B) {
	r := reals[0]
	raw, now := r.read(b), r.time()
	doc, err := attestation.Verify(raw, attestation.Options{Now: now})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("stdlib", func(b *testing.B) {
		digest := sha512.Sum384(raw) // any digest: a signature that fails takes the same time
		signature := raw[len(raw)-96:]
		for b.Loop() {
			if err := bare(doc, now.UnixMilli(), digest[:], signature); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if _, err := attestation.Verify(raw, attestation.Options{Now: now}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func bare(doc *attestation.Document, millis int64, digest, signature []byte) error {
	leaf, err := x509.ParseCertificate(doc.Certificate)
	if err != nil {
		return err
	}
	roots, bundle := x509.NewCertPool(), x509.NewCertPool()
	for i, der := range doc.CABundle {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		if i == 0 {
			roots.AddCert(c)
			continue
		}
		bundle.AddCert(c)
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: bundle, CurrentTime: time.UnixMilli(millis), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return err
	}
	r, s := new(big.Int).SetBytes(signature[:48]), new(big.Int).SetBytes(signature[48:])
	ecdsa.Verify(leaf.PublicKey.(*ecdsa.PublicKey), digest, r, s)
	return nil
}
