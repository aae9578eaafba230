// Package atls lets a TLS client accept exactly those servers that prove by attestation what program they are.
package atls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// ErrNeedsTransport is returned by [ClientConfig] for a policy that demands a proof per connection: a handshake cannot carry one.
var ErrNeedsTransport = errors.New("attested TLS: the policy demands a proof per connection, which only a Transport asks for")

// Options say which servers are accepted.
type Options struct {
	// Policy says what a server must be. It must name sets, unless Trust stands for them.
	Policy attestation.Policy
	// Trust holds a server to what was remembered of it; nil is not used. If Policy names sets too, both must hold.
	Trust *Trust
	// Roots are trusted in place of the AWS root; empty is the AWS root alone. Whoever holds the key of one of them can
	// claim any measurement.
	Roots []*x509.Certificate
	// Cache remembers verified documents; nil is a new one. Share one among the options of servers that are asked by turns.
	Cache *attestation.Cache
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// OnVerified is called for each server that was accepted, before any data is sent; it may be nil. It may be called concurrently.
	// With [ClientConfig] the server has not proved yet at that time that it holds the certificate's key, and anybody
	// can show a copy: the peer counts only once the handshake, or a request over the connection, has ended without an error. A
	// [Transport] calls it later, when all is proved.
	OnVerified func(Peer)
}

// Evidence is what a document proved about a program.
type Evidence struct {
	Document *attestation.Document
	// Binding is what the document says in its user_data.
	Binding Binding
	// Label is that of the policy's set that matched.
	Label string
	// NotAfter is when it ends: the earliest end of the document's certificates, of the policy's set, and of its greatest age.
	NotAfter time.Time
}

// Peer is a server that was accepted. Its NotAfter is that of everything that was shown, certificate and proof included; a connection
// that lives longer should be replaced, and those of a [Transport] are.
type Peer struct {
	Evidence    // of the document in the certificate
	Certificate *x509.Certificate
	// Proof is the document of this connection alone; nil if the policy does not demand one.
	Proof *attestation.Document
}

// ClientConfig is a configuration for TLS clients, to be used as it is or with NextProtos set. It speaks TLS 1.3 alone and never
// resumes a session. A handshake with a server that is not accepted fails with an [*Error].
// The server's name plays no part: its measurements are its name. The error is that of [attestation.Policy.Validate], or
// [ErrNeedsTransport].
func ClientConfig(o Options) (*tls.Config, error) {
	v, err := newVerifier(o, false)
	if err != nil {
		return nil, err
	}
	if v.Policy.Proof == attestation.ProofPerConnection {
		return nil, ErrNeedsTransport
	}
	return v.config(v.verified), nil
}

// config calls accepted for each server that is accepted, inside the handshake.
func (v *verifier) config(accepted func(Peer)) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		InsecureSkipVerify:     true, //nolint:gosec // no authority vouches for the certificate: the document in it does, below
		SessionTicketsDisabled: true,
		Time:                   v.Now,
		VerifyConnection: func(state tls.ConnectionState) error { // and not VerifyPeerCertificate, which is left out when a session is resumed
			peer, err := v.verify(state)
			if err == nil {
				accepted(peer)
			}
			return err
		},
	}
}

func (v *verifier) verified(p Peer) {
	if v.OnVerified != nil {
		v.OnVerified(p)
	}
}

// newVerifier completes and checks the options. To observe a server, the policy need not name sets.
func newVerifier(o Options, observing bool) (*verifier, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Cache == nil {
		o.Cache = attestation.NewCache(0)
	}
	policy := o.Policy
	if o.Trust != nil {
		if err := o.Trust.check(); err != nil {
			return nil, fmt.Errorf("attested TLS: %w", err)
		}
	}
	if o.Trust != nil || observing {
		policy = allowing(policy, attestation.PCR{1})
	}
	if err := policy.Validate(); err != nil {
		return nil, fmt.Errorf("attested TLS: %w", err)
	}
	return &verifier{Options: o, observing: observing}, nil
}

// allowing is a policy that, if it names no sets, allows any enclave with this PCR0.
func allowing(p attestation.Policy, image attestation.PCR) attestation.Policy {
	if len(p.Sets) == 0 {
		p.Sets = []attestation.Set{{PCRs: attestation.Measurements{0: image}}}
	}
	return p
}
