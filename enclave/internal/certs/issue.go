package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// issued is one certificate with the evidence in it. Nothing in it changes.
type issued struct {
	cert     *tls.Certificate
	evidence nsm.Evidence
	issuedAt time.Time
	notAfter time.Time // as in cert
}

// usableUntil is when a certificate around this evidence has to end.
func usableUntil(e nsm.Evidence) time.Time { return e.Document.NotAfter.Add(-margin) }

// issue makes a key, has the device speak of it, and puts both into a certificate. The key exists nowhere else.
func (t *Attested) issue(ctx context.Context) (*issued, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make TLS key: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encode TLS key: %w", err)
	}
	userData, err := atls.Binding{
		Purpose: atls.PurposeCertificate,
		SPKI:    sha256.Sum256(spki),
		Config:  t.opts.ConfigDigest,
		Build:   t.opts.Build,
	}.Marshal()
	if err != nil {
		return nil, fmt.Errorf("bind TLS key: %w", err)
	}
	evidence, err := nsm.Fetch(ctx, t.attester, nsm.Attestation{UserData: userData}, t.opts.Roots, t.opts.Now)
	if err != nil {
		return nil, fmt.Errorf("attest TLS key: %w", err)
	}
	next := &issued{evidence: evidence, issuedAt: t.opts.Now()}
	next.notAfter = next.issuedAt.Add(t.opts.Validity)
	if end := usableUntil(evidence); end.Before(next.notAfter) {
		next.notAfter = end
	}
	next.notAfter = next.notAfter.Truncate(time.Second) // a certificate has no finer time
	next.cert, err = selfSign(key, next)
	return next, err
}

// selfSign begins the certificate a little early, for clients whose clock is behind.
func selfSign(key *ecdsa.PrivateKey, i *issued) (*tls.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)), // not zero
		Subject:               pkix.Name{CommonName: i.evidence.Document.ModuleID},
		NotBefore:             i.issuedAt.Add(-margin),
		NotAfter:              i.notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		ExtraExtensions:       []pkix.Extension{atls.Extension(i.evidence.Raw)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// fields say in the log what a client will see. Register 16 holds the configuration, once it is locked.
func (i *issued) fields() []zap.Field {
	doc := i.evidence.Document
	out := []zap.Field{
		zap.String("attestation_module_id", doc.ModuleID),
		zap.Time("attestation_timestamp", doc.Timestamp),
		zap.Time("attestation_not_after", doc.NotAfter),
		zap.Time("attestation_certificate_not_after", i.notAfter),
		zap.String("attestation_spki_sha256", fmt.Sprintf("%x", sha256.Sum256(i.cert.Leaf.RawSubjectPublicKeyInfo))),
		zap.Duration("attestation_clock_offset", i.evidence.Offset),
	}
	for _, n := range []int{0, 1, 2, 3, 8, 16} {
		if pcr, ok := doc.PCRs[n]; ok {
			out = append(out, zap.Stringer(fmt.Sprintf("attestation_pcr%d", n), pcr))
		}
	}
	return out
}
