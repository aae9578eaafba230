package eif

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"math/big"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// Signer is who signed an image.
type Signer struct {
	Algorithm string // of the signature: ES256, ES384 or ES512 (RFC 9053, section 2.1)
	// Certificate holds the key that made the signature. Nobody vouches for it, and its dates are not looked at: it is what PCR8 names.
	Certificate *x509.Certificate
}

// The fixed parts of a signature section: CBOR as AWS's tools write it, and the one way to write it.
const (
	// sectionHead begins an array of one map with two keys.
	sectionHead    = "\x81\xa2\x73signing_certificate"
	signatureKey   = "\x69signature"
	payloadHead    = "\xa2\x6eregister_index\x00\x6eregister_value"
	signTag        = "\xd2" // a COSE_Sign1 may have its tag (RFC 9052, section 4.2)
	signHead       = "\x84"
	unprotected    = "\xa0" // no unprotected headers
	structureHead  = "\x84\x6aSignature1"
	noExternalData = "\x40"
)

// algorithm is one that AWS's tools sign with, together with the only curve that it goes with there.
type algorithm struct {
	name      string
	protected string // the protected header {1: number} as a CBOR byte string
	curve     elliptic.Curve
	hash      func() hash.Hash
}

// es384 is the place of the algorithm that we sign with.
const es384 = 1

func algorithms() []algorithm {
	return []algorithm{
		{"ES256", "\x43\xa1\x01\x26", elliptic.P256(), sha256.New},
		{"ES384", "\x44\xa1\x01\x38\x22", elliptic.P384(), sha512.New384},
		{"ES512", "\x44\xa1\x01\x38\x23", elliptic.P521(), sha512.New},
	}
}

// sign1 is a COSE_Sign1 whose signature is not verified yet.
type sign1 struct {
	algorithm
	item               []byte // the payload as a CBOR byte string
	payload, signature []byte
}

// verifySignature reads the body of a signature section and verifies it: one entry, its certificate, and by that certificate's key a
// COSE_Sign1 over this PCR0.
func verifySignature(section []byte, pcr0 attestation.PCR) (*Signer, error) {
	text, message, err := decodeSection(section)
	if err != nil {
		return nil, err
	}
	certificate, err := parseCertificate(text)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	s, err := decodeSign1(message)
	if err != nil {
		return nil, fmt.Errorf("COSE_Sign1: %w", err)
	}
	signed, err := decodePayload(s.payload)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	if err := s.verify(certificate); err != nil {
		return nil, err
	}
	if signed != pcr0 {
		return nil, fmt.Errorf("it is over PCR0 %v, the image has %v", signed, pcr0)
	}
	return &Signer{Algorithm: s.name, Certificate: certificate}, nil
}

// decodeSection takes the certificate's PEM and the COSE_Sign1 out of a section. AWS's tools would take several entries and look at
// the first only.
func decodeSection(section []byte) (certificate, message []byte, err error) {
	c := &cborReader{in: section}
	if err := c.literal(sectionHead, "one entry that begins with signing_certificate"); err != nil {
		return nil, nil, err
	}
	if certificate, err = c.byteArray("signing_certificate"); err != nil {
		return nil, nil, err
	}
	if err := c.literal(signatureKey, "the key signature"); err != nil {
		return nil, nil, err
	}
	if message, err = c.byteArray("signature"); err != nil {
		return nil, nil, err
	}
	return certificate, message, c.end()
}

// parseCertificate reads PEM with one block. With several, which one is the first depends on who looks for it.
func parseCertificate(text []byte) (*x509.Certificate, error) {
	if n := bytes.Count(text, []byte("-----BEGIN")); n != 1 {
		return nil, fmt.Errorf("%d PEM blocks, want 1", n)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("its PEM block is broken")
	}
	if block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
		return nil, fmt.Errorf("PEM block %.40q with %d headers, want CERTIFICATE without", block.Type, len(block.Headers))
	}
	return x509.ParseCertificate(block.Bytes)
}

func decodeSign1(message []byte) (sign1, error) {
	c := &cborReader{in: message}
	c.skip(signTag)
	if err := c.literal(signHead, "an array of four"); err != nil {
		return sign1{}, err
	}
	var s sign1
	for _, a := range algorithms() {
		if c.skip(a.protected) {
			s.algorithm = a
			break
		}
	}
	if s.curve == nil {
		return sign1{}, c.failf(c.off, "the protected header is not exactly that of ES256, ES384 or ES512")
	}
	if err := c.literal(unprotected, "no unprotected headers"); err != nil {
		return sign1{}, err
	}
	at := c.off
	var err error
	if s.payload, err = c.byteString("the payload"); err != nil {
		return sign1{}, err
	}
	s.item = message[at:c.off]
	if s.signature, err = c.byteString("the signature"); err != nil {
		return sign1{}, err
	}
	return s, c.end()
}

// decodePayload reads the value that the signature is over, which must be that of register 0.
func decodePayload(payload []byte) (attestation.PCR, error) {
	c := &cborReader{in: payload}
	if err := c.literal(payloadHead, "register_index 0 and register_value"); err != nil {
		return attestation.PCR{}, err
	}
	value, err := c.byteArray("register_value")
	if err != nil {
		return attestation.PCR{}, err
	}
	if len(value) != attestation.PCRSize {
		return attestation.PCR{}, fmt.Errorf("register_value of %d bytes, want %d", len(value), attestation.PCRSize)
	}
	return attestation.PCR(value), c.end()
}

func (s sign1) verify(certificate *x509.Certificate) error {
	key, ok := certificate.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != s.curve {
		return fmt.Errorf("%s needs a certificate with a key of %s, this one has %s", s.name, s.curve.Params().Name, keyName(certificate))
	}
	half := (s.curve.Params().BitSize + 7) / 8
	if len(s.signature) != 2*half {
		return fmt.Errorf("%d bytes, want %d for %s", len(s.signature), 2*half, s.name)
	}
	digest := s.hash()
	digest.Write([]byte(structureHead + s.protected + noExternalData)) // the Sig_structure (RFC 9052, section 4.4)
	digest.Write(s.item)
	r, v := new(big.Int).SetBytes(s.signature[:half]), new(big.Int).SetBytes(s.signature[half:])
	if !ecdsa.Verify(key, digest.Sum(nil), r, v) {
		return errors.New("not by the certificate's key over its payload")
	}
	return nil
}

func keyName(certificate *x509.Certificate) string {
	if key, ok := certificate.PublicKey.(*ecdsa.PublicKey); ok {
		return "one of " + key.Curve.Params().Name
	}
	return certificate.PublicKeyAlgorithm.String()
}
