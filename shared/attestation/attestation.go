// Package attestation verifies the attestation documents of AWS Nitro Enclaves offline.
package attestation

import (
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Leeway is how far behind the enclave's the verifier's clock may be. A document's own certificate begins only 3 s before
// it is issued, so that without any leeway a clock a few seconds behind refuses every new one.
const Leeway = 30 * time.Second

// Options say how a document is verified. The zero value verifies against the AWS root at the present time, without a
// look at age and nonce.
type Options struct {
	// Roots are trusted in place of the AWS root; empty is [AWSRoot] alone. Anybody who holds the key of one of them can
	// claim any measurement.
	Roots []*x509.Certificate
	// Now is the time of verification; zero is the local clock. Another time is for archived documents only.
	Now time.Time
	// MaxAge is how long ago the document may have been made; 0 means that age is not checked.
	MaxAge time.Duration
	// Nonce is what the document must carry; nil means that it is not checked.
	Nonce []byte
}

// Document is a verified attestation document. Its slices belong to whoever holds it.
type Document struct {
	ModuleID    string      // the instance's and the enclave's id, i-…-enc…
	Timestamp   time.Time   // when it was made, to the millisecond, UTC
	PCRs        map[int]PCR // the locked registers, by index 0 to 31
	Certificate []byte      // the signer's certificate, DER
	CABundle    [][]byte    // the certificates above it, DER, root first

	PublicKey []byte // nil when absent, else 1 to 1024 bytes
	UserData  []byte // nil when absent, else 0 to 1024 bytes
	Nonce     []byte // nil when absent, else 0 to 1024 bytes

	// NotBefore is the latest beginning among the document's certificates and the root.
	NotBefore time.Time
	// NotAfter is the earliest end among the certificates of the verified chain, root included. After it the document
	// proves nothing.
	NotAfter time.Time
	// Unknown are the names of fields that this package does not know. They are signed too.
	Unknown []string
}

// Verify returns the document in raw if everything about it holds: size, strict encoding, fields, chain up to a root,
// signature, age and nonce. It does not judge what the document says: that is for a [Policy]. The order is part of the
// safety: nothing of a certificate is used before its chain is good. The error is an [*Error], and then there is no document.
func Verify(raw []byte, opts Options) (*Document, error) {
	if opts.Now.IsZero() {
		opts.Now = time.Now()
	}
	env, err := openEnvelope(raw)
	if err != nil {
		return nil, err
	}
	doc, err := parsePayload(env.payload)
	if err != nil {
		return nil, err
	}
	signer, err := verifyChain(doc, opts)
	if err != nil {
		return nil, err
	}
	if err := env.verify(signer); err != nil {
		return nil, err
	}
	if err := checkFreshness(doc, opts); err != nil {
		return nil, err
	}
	return doc, nil
}

func checkFreshness(doc *Document, opts Options) error {
	if err := checkAge(doc, opts.Now, opts.MaxAge); err != nil {
		return err
	}
	switch {
	case opts.Nonce == nil:
		return nil
	case doc.Nonce == nil:
		return refuse(StepFreshness, "nonce", errors.New("absent"))
	case subtle.ConstantTimeCompare(doc.Nonce, opts.Nonce) != 1:
		return refuse(StepFreshness, "nonce", fmt.Errorf("%.16x… of %d bytes is not the one that was asked for", doc.Nonce, len(doc.Nonce)))
	}
	return nil
}

func checkAge(doc *Document, now time.Time, limit time.Duration) error {
	if limit == 0 {
		return nil
	}
	age := now.Sub(doc.Timestamp)
	at := doc.Timestamp.Format(time.RFC3339)
	if age > limit {
		return refuse(StepFreshness, "timestamp", fmt.Errorf("%s is %v ago, at most %v is allowed", at, age, limit))
	}
	if age < -Leeway {
		return refuse(StepFreshness, "timestamp", fmt.Errorf("%s is %v in the future", at, -age))
	}
	return nil
}
