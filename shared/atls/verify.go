package atls

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// verifier is complete options.
type verifier struct {
	Options
	// observing is set where a server is looked at and not trusted: then a policy without sets allows any image.
	observing bool
}

// verify decides in the order in which each check makes sense of the next. Only the last one ties what was proved to this connection:
// whoever holds the key that the document speaks of is the measured program. That this server holds it is what package tls
// checks next, in the same handshake.
func (v *verifier) verify(state tls.ConnectionState) (Peer, error) {
	now := v.Now()
	if state.Version != tls.VersionTLS13 {
		return Peer{}, &Error{CheckConnection, errors.New("not TLS 1.3")}
	}
	if state.DidResume {
		return Peer{}, &Error{CheckConnection, errors.New("the session was resumed")}
	}
	if n := len(state.PeerCertificates); n != 1 {
		return Peer{}, &Error{CheckCertificate, fmt.Errorf("%d certificates, want 1", n)}
	}
	cert := state.PeerCertificates[0]
	if err := checkCertificate(cert, now); err != nil {
		return Peer{}, &Error{CheckCertificate, err}
	}
	raw, err := Document(cert)
	if err != nil {
		return Peer{}, &Error{CheckExtension, err}
	}
	said, err := v.evidence(raw, now)
	if err != nil {
		return Peer{}, err
	}
	if said.Binding.SPKI != sha256.Sum256(cert.RawSubjectPublicKeyInfo) {
		return Peer{}, &Error{CheckBinding, errors.New("the document speaks of another key than the certificate's")}
	}
	said.NotAfter = earliest(said.NotAfter, cert.NotAfter)
	return Peer{Evidence: said, Certificate: cert}, nil
}

// evidence verifies a document that stands in a certificate, or that a server says does.
func (v *verifier) evidence(raw []byte, now time.Time) (Evidence, error) {
	doc, err := v.Cache.Verify(raw, attestation.Options{Roots: v.Roots, Now: now, MaxAge: v.Policy.MaxAge})
	if err != nil {
		return Evidence{}, &Error{CheckDocument, err}
	}
	binding, set, err := v.judge(doc, PurposeCertificate, now)
	if err != nil {
		return Evidence{}, err
	}
	e := Evidence{Document: doc, Binding: binding, Label: set.Label, NotAfter: earliest(doc.NotAfter, set.Expires)}
	if v.Policy.MaxAge > 0 {
		e.NotAfter = earliest(e.NotAfter, doc.Timestamp.Add(v.Policy.MaxAge))
	}
	return e, nil
}

// judge holds a verified document to the policy and to what was remembered. Another program may say anything in its
// user_data, so that a binding that cannot be read is told only about a program that is allowed.
func (v *verifier) judge(doc *attestation.Document, purpose Purpose, now time.Time) (Binding, attestation.Set, error) {
	binding, unread := bindingOf(doc)
	policy := v.Policy
	if v.Trust != nil || v.observing {
		policy = allowing(policy, doc.PCRs[0])
	}
	claims := attestation.Claims{Build: binding.Build, Config: binding.Config}
	if unread != nil {
		policy.ConfigDigest = nil // without a binding there is no digest to compare, and the reason for that is told below
	}
	set, err := policy.Check(doc, claims, now)
	if err != nil {
		return Binding{}, set, &Error{CheckPolicy, err}
	}
	if v.Trust != nil {
		if err := v.Trust.Store.Check(v.Trust.Name, doc, binding.Build); err != nil {
			return Binding{}, set, &Error{CheckTrust, err}
		}
	}
	if unread != nil {
		return Binding{}, set, &Error{CheckBinding, unread}
	}
	if binding.Purpose != purpose {
		return Binding{}, set, &Error{CheckBinding, fmt.Errorf("the document is for purpose %q, want %q", binding.Purpose, purpose)}
	}
	return binding, set, nil
}

// checkCertificate forgives a clock that is behind as package attestation does.
func checkCertificate(c *x509.Certificate, now time.Time) error {
	switch {
	case now.Add(attestation.Leeway).Before(c.NotBefore):
		return fmt.Errorf("not valid before %s", c.NotBefore.Format(time.RFC3339))
	case now.After(c.NotAfter):
		return fmt.Errorf("expired at %s", c.NotAfter.Format(time.RFC3339))
	case len(c.UnhandledCriticalExtensions) > 0:
		return errors.New("holds critical extensions that are not understood")
	}
	if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
		return fmt.Errorf("not signed by its own key: %w", err)
	}
	return nil
}

func bindingOf(doc *attestation.Document) (Binding, error) {
	if doc.UserData == nil {
		return Binding{}, errors.New("the document has no user_data")
	}
	return ParseBinding(doc.UserData)
}

// earliest is the first of the times that are not zero.
func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}
