package certs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// hypervisor signs documents with a certificate whose end the test decides, unlike the software NSM, which renews as it
// should.
type hypervisor struct {
	t       *testing.T
	root    *x509.Certificate
	rootKey *ecdsa.PrivateKey

	mu    sync.Mutex // held while the fields below are used
	leaf  *x509.Certificate
	key   *ecdsa.PrivateKey
	down  error         // returned in place of documents
	life  time.Duration // of certificates that replace another 15 minutes before its end; 0 leaves that to the test
	calls int           // of Attest
}

func newHypervisor(t *testing.T, end time.Time) *hypervisor {
	t.Helper()
	h := &hypervisor{t: t}
	h.root, h.rootKey = h.certificate(&x509.Certificate{
		Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	})
	h.renew(end)
	return h
}

// renew replaces the signing certificate by one that ends at end.
func (h *hypervisor) renew(end time.Time) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.replace(end)
}

func (h *hypervisor) replace(end time.Time) {
	h.leaf, h.key = h.certificate(&x509.Certificate{
		Subject: pkix.Name{CommonName: "leaf"}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-3 * time.Second), NotAfter: end,
	})
}

func (h *hypervisor) certificate(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	parent, signer := h.root, h.rootKey
	if parent == nil {
		parent, signer = template, key
	}
	template.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		h.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		h.t.Fatal(err)
	}
	return cert, key
}

func (h *hypervisor) Attest(ctx context.Context, a nsm.Attestation) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	if h.life > 0 && time.Until(h.leaf.NotAfter) < 15*time.Minute {
		h.replace(time.Now().Add(h.life))
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case h.down != nil:
		return nil, h.down
	}
	return issuer.Sign(h.key, issuer.Encode(issuer.Fields{
		ModuleID: "i-1-enc2", Digest: "SHA384", Timestamp: uint64(time.Now().UnixMilli()),
		PCRs:        map[int]attestation.PCR{0: {1}, 1: {2}, 2: {3}, 16: {4}},
		Certificate: h.leaf.Raw, CABundle: [][]byte{h.root.Raw}, UserData: a.UserData,
	}))
}

// fail makes Attest return err; nil heals it.
func (h *hypervisor) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = err
}

func (h *hypervisor) attempts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls
}

// policy accepts what the hypervisor's documents say.
func (h *hypervisor) policy() attestation.Policy {
	return attestation.Policy{
		Sets:         []attestation.Set{{PCRs: attestation.Measurements{0: {1}, 1: {2}, 2: {3}, 16: {4}}}},
		ConfigDigest: &[48]byte{9},
	}
}
