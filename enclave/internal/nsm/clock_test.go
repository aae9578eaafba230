package nsm_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// simulated is a software device whose clock reads now, and its root.
func simulated(t *testing.T, now func() time.Time) (*nsm.Device, []*x509.Certificate) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("program"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := software.Open(software.Options{Dir: t.TempDir(), Executable: program, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	d, _ := run(t, s)
	return d, []*x509.Certificate{s.Root()}
}

func TestCheckClock(t *testing.T) {
	base := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		local time.Duration // local clock minus the device's
		want  string        // "" passes
	}{
		{0, ""},
		{1900 * time.Millisecond, ""},
		{-1900 * time.Millisecond, ""},
		{2100 * time.Millisecond, "local clock reads 2026-03-01T12:00:02.100Z (within 0s), NSM 2026-03-01T12:00:00.000Z: more than 2s apart"},
		{-2100 * time.Millisecond, "local clock reads 2026-03-01T11:59:57.900Z"},
		{-time.Minute, "local clock reads 2026-03-01T11:59:00.000Z"},  // before the document's certificate begins
		{5 * time.Hour, "local clock reads 2026-03-01T17:00:00.000Z"}, // after it has ended
		{-20 * 365 * 24 * time.Hour, "local clock reads 2006-"},
	} {
		d, roots := simulated(t, func() time.Time { return base })
		offset, err := nsm.CheckClock(t.Context(), d, roots, func() time.Time { return base.Add(c.local) })
		if c.want == "" {
			if err != nil || offset != c.local {
				t.Errorf("%s apart: offset %s, %v", c.local, offset, err)
			}
			continue
		}
		wrong, ok := errors.AsType[*nsm.ClockError](err)
		if !ok || !wrong.NSM.Equal(base) || !strings.HasPrefix(err.Error(), "clock check: "+c.want) {
			t.Errorf("%s apart: %v, want %q", c.local, err, c.want)
		}
	}
}

func TestCheckClockNeedsAPromptAnswer(t *testing.T) {
	base := time.Now()
	d, roots := simulated(t, func() time.Time { return base })
	reading := base.Add(-3 * time.Second)
	_, err := nsm.CheckClock(t.Context(), d, roots, func() time.Time {
		defer func() { reading = reading.Add(6 * time.Second) }()
		return reading
	})
	if _, ok := errors.AsType[*nsm.ClockError](err); !ok || !strings.Contains(err.Error(), "within 3s") {
		t.Errorf("answer within 6s = %v, want a refusal", err)
	}
}

func TestCheckClockWantsTheRoot(t *testing.T) {
	d, _ := simulated(t, time.Now)
	_, others := simulated(t, time.Now)
	for name, roots := range map[string][]*x509.Certificate{"another development root": others, "the AWS root": nil} {
		_, err := nsm.CheckClock(t.Context(), d, roots, time.Now)
		if refused, ok := errors.AsType[*attestation.Error](err); !ok || refused.Step != attestation.StepChain {
			t.Errorf("under %s: %v", name, err)
		}
	}
}

// expired is a device with the right time whose signing certificate has ended.
type expired struct {
	root, leaf *x509.Certificate
	key        *ecdsa.PrivateKey
}

func newExpired(t *testing.T, now time.Time) expired {
	t.Helper()
	sign := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if parent == nil {
			parent, signer = template, key
		}
		template.SerialNumber = big.NewInt(1)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert, key
	}
	root, rootKey := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(24 * time.Hour),
	}, nil, nil)
	leaf, key := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "leaf"}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: now.Add(-3 * time.Hour), NotAfter: now.Add(-time.Second),
	}, root, rootKey)
	return expired{root, leaf, key}
}

func (e expired) Attest(context.Context, nsm.Attestation) ([]byte, error) {
	return issuer.Sign(e.key, issuer.Encode(issuer.Fields{
		ModuleID: "i-1-enc2", Digest: "SHA384", Timestamp: uint64(time.Now().UnixMilli()), PCRs: map[int]attestation.PCR{0: {1}},
		Certificate: e.leaf.Raw, CABundle: [][]byte{e.root.Raw},
	}))
}

// TestFetchRefusesExpiredEvidence: the second look, which serves the message, must not let the document through.
func TestFetchRefusesExpiredEvidence(t *testing.T) {
	e := newExpired(t, time.Now())
	got, err := nsm.Fetch(t.Context(), e, nsm.Attestation{}, []*x509.Certificate{e.root}, time.Now)
	if refused, ok := errors.AsType[*attestation.Error](err); !ok || refused.Step != attestation.StepChain || got.Document != nil {
		t.Errorf("Fetch = %v, %v", got.Document, err)
	}
	if err != nil && !strings.Contains(err.Error(), "own document: ") {
		t.Errorf("error reads %v", err)
	}
}
