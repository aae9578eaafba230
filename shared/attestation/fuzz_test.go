package attestation_test

import (
	"crypto/x509"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// FuzzVerify holds Verify to its word: it never panics, an error is an *Error and comes without a document, and what it accepts is
// what was signed.
func FuzzVerify(f *testing.F) {
	for _, r := range reals {
		f.Add(r.read(f))
	}
	own, trusted := hostile{}.make(f)
	f.Add(own)
	roots := []*x509.Certificate{attestation.AWSRoot(), trusted}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, at := range []attestation.Options{{Roots: roots, Now: now}, {Roots: roots, Now: reals[0].time(), Nonce: []byte{1}}} {
			doc, err := attestation.Verify(raw, at)
			if err == nil {
				if doc == nil || doc.ModuleID == "" || len(doc.PCRs) == 0 || doc.NotAfter.Before(at.Now) {
					t.Errorf("accepted %+v", doc)
				}
				continue
			}
			if _, ok := err.(*attestation.Error); !ok || doc != nil { //nolint:errorlint // exactly this type
				t.Errorf("document %v with error %T %v", doc != nil, err, err)
			}
		}
	})
}

// FuzzParseRoot: what is accepted is a root, and the only block of its file.
func FuzzParseRoot(f *testing.F) {
	_, trusted := hostile{}.make(f)
	for _, c := range []*x509.Certificate{trusted, attestation.AWSRoot()} {
		text := encodePEM("CERTIFICATE", c.Raw)
		f.Add([]byte(text))
		f.Add([]byte("Subject: x\n" + text + "\n"))
		f.Add([]byte(text + text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := attestation.ParseRoot(text)
		if (c == nil) != (err != nil) {
			t.Fatalf("certificate %v with error %v", c != nil, err)
		}
		if err != nil {
			return
		}
		if again, err := attestation.ParseRoot([]byte(encodePEM("CERTIFICATE", c.Raw))); err != nil || !again.Equal(c) || !c.IsCA {
			t.Errorf("accepted %x, but then: %v", c.Raw, err)
		}
	})
}
