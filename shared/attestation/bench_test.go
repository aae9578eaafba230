package attestation_test

import (
	"crypto/ecdsa"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// BenchmarkVerify compares a whole verification with the work of the standard library that is in every one: parse the five
// certificates, verify their chain, verify one P-384 signature over the same bytes. The third part is a document that a cache knows.
func BenchmarkVerify(b *testing.B) {
	r := reals[0]
	raw, now := r.read(b), r.time()
	doc, err := attestation.Verify(raw, attestation.Options{Now: now})
	if err != nil {
		b.Fatal(err)
	}
	signed, signature := signedBytes(raw)
	b.Run("stdlib", func(b *testing.B) {
		for b.Loop() {
			if err := bare(doc, now, signed, signature); err != nil {
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
	b.Run("known", func(b *testing.B) {
		cache := attestation.NewCache(1)
		for b.Loop() {
			if _, err := cache.Verify(raw, attestation.Options{Now: now}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// signedBytes takes the Sig_structure and the signature (RFC 9052, section 4.4) out of an untagged document.
func signedBytes(raw []byte) (signed, signature []byte) {
	const head, tail = 1 + 5 + 1, 2 + 96 // array, protected header, unprotected header; head of the signature, signature
	signed = append([]byte("\x84\x6aSignature1"), raw[1:6]...)
	signed = append(append(signed, 0x40), raw[head:len(raw)-tail]...)
	return signed, raw[len(raw)-96:]
}

func bare(doc *attestation.Document, now time.Time, signed, signature []byte) error {
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
		Roots: roots, Intermediates: bundle, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return err
	}
	r, s := new(big.Int).SetBytes(signature[:48]), new(big.Int).SetBytes(signature[48:])
	digest := sha512.Sum384(signed)
	if !ecdsa.Verify(leaf.PublicKey.(*ecdsa.PublicKey), digest[:], r, s) {
		return errors.New("wrong signature")
	}
	return nil
}
