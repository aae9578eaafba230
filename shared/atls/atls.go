// Package atls lets a TLS client accept exactly those servers that prove by attestation what program they are.
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

// Options say which servers are accepted.
type Options struct {
	// Policy names the measurements; it may not be empty.
	Policy attestation.Policy
	// Roots are trusted in place of the AWS root; empty is the AWS root alone. Whoever holds the key of one of them can
	// claim any measurement.
	Roots []*x509.Certificate
	// MaxAge is how old a document may be; 0 leaves it to the end of its certificates, about three hours.
	MaxAge time.Duration
	// ConfigDigest is what the server must say it was configured with; nil is not checked.
	ConfigDigest *[48]byte
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// OnVerified is called in each handshake whose server's certificate was accepted, before any data is sent; it may be nil. It
	// may be called concurrently. At that time the server has not proved yet that it holds the certificate's key, and anybody
	// can show a copy: the peer counts only once the handshake, or a request over the connection, has ended without an error.
	OnVerified func(Peer)
}

// Peer is a server whose certificate was accepted.
type Peer struct {
	Certificate *x509.Certificate
	Document    *attestation.Document
	Binding     Binding
	// NotAfter is when the proof ends: the earlier of the certificate's end and the document's. A connection that lives
	// longer should be replaced.
	NotAfter time.Time
}

// ClientConfig is a configuration for TLS clients, to be used as it is or with NextProtos set. It speaks TLS 1.3 alone and never
// resumes a session. A handshake with a server that is not accepted fails with an [*Error].
// The server's name plays no part: its measurements are its name. The error is that of [attestation.Policy.Validate].
func ClientConfig(o Options) (*tls.Config, error) {
	if err := o.Policy.Validate(); err != nil {
		return nil, fmt.Errorf("attested TLS: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		InsecureSkipVerify:     true, //nolint:gosec // no authority vouches for the certificate: the document in it does, below
		SessionTicketsDisabled: true,
		Time:                   o.Now,
		VerifyConnection:       o.verify, // and not VerifyPeerCertificate, which is left out when a session is resumed
	}, nil
}

// verify decides in the order in which each check makes sense of the next. Only the last one ties what was proved to this connection:
// whoever holds the key that the document speaks of is the measured program. That this server holds it is what package tls
// checks next, in the same handshake.
func (o Options) verify(state tls.ConnectionState) error {
	now := o.Now()
	if state.Version != tls.VersionTLS13 {
		return &Error{CheckConnection, errors.New("not TLS 1.3")}
	}
	if state.DidResume {
		return &Error{CheckConnection, errors.New("the session was resumed")}
	}
	if n := len(state.PeerCertificates); n != 1 {
		return &Error{CheckCertificate, fmt.Errorf("%d certificates, want 1", n)}
	}
	cert := state.PeerCertificates[0]
	if err := checkCertificate(cert, now); err != nil {
		return &Error{CheckCertificate, err}
	}
	raw, err := documentIn(cert.Extensions)
	if err != nil {
		return &Error{CheckExtension, err}
	}
	doc, err := attestation.Verify(raw, attestation.Options{Roots: o.Roots, Now: now, MaxAge: o.MaxAge})
	if err != nil {
		return &Error{CheckDocument, err}
	}
	if err := o.Policy.Check(doc); err != nil {
		return &Error{CheckPolicy, err}
	}
	binding, err := o.checkBinding(cert, doc)
	if err != nil {
		return &Error{CheckBinding, err}
	}
	if o.OnVerified != nil {
		peer := Peer{Certificate: cert, Document: doc, Binding: binding, NotAfter: cert.NotAfter}
		if doc.NotAfter.Before(peer.NotAfter) {
			peer.NotAfter = doc.NotAfter
		}
		o.OnVerified(peer)
	}
	return nil
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

func (o Options) checkBinding(c *x509.Certificate, doc *attestation.Document) (Binding, error) {
	if doc.UserData == nil {
		return Binding{}, errors.New("the document has no user_data")
	}
	b, err := ParseBinding(doc.UserData)
	if err != nil {
		return Binding{}, err
	}
	switch {
	case b.Purpose != PurposeCertificate:
		return Binding{}, fmt.Errorf("the document is for purpose %q, want %q", b.Purpose, PurposeCertificate)
	case b.SPKI != sha256.Sum256(c.RawSubjectPublicKeyInfo):
		return Binding{}, errors.New("the document speaks of another key than the certificate's")
	case o.ConfigDigest != nil && b.Config != *o.ConfigDigest:
		return Binding{}, fmt.Errorf("configuration digest is %x, want %x", b.Config, *o.ConfigDigest)
	}
	return b, nil
}
