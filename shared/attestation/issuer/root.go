// Package issuer makes attestation documents under a root of one's own, for the software NSM and for tests.
package issuer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// backdated is how long before their making root, regional and zonal certificates begin, as at AWS.
const backdated = time.Hour

// rootYears is the life of a root.
const rootYears = 10

// Root is a root certificate with its key. A verifier accepts it only where it is named.
type Root struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewRoot makes a root that is valid from an hour before now for ten years. Its name says that it is not AWS's.
func NewRoot(now time.Time) (*Root, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make root key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               name("development.nitro-enclaves"),
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.AddDate(rootYears, 0, 0),
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make root certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make root certificate: %w", err)
	}
	return &Root{Certificate: cert, key: key}, nil
}

// MarshalPEM returns the certificate, which verifiers are given, and the key, which they are not (PKCS #8).
func (r *Root) MarshalPEM() (cert, key []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(r.key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode root key: %w", err)
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate.Raw})
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return cert, key, nil
}

// ParseRoot reads what [Root.MarshalPEM] wrote. It is an error if key and certificate do not belong together.
func ParseRoot(cert, key []byte) (*Root, error) {
	c, err := attestation.ParseRoot(cert)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(key)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("root key: want one PEM block PRIVATE KEY and nothing else")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("root key: not in PKCS #8") // the cause could quote the key
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !private.PublicKey.Equal(c.PublicKey) {
		return nil, errors.New("root key: does not belong to the root certificate")
	}
	return &Root{Certificate: c, key: private}, nil
}

// name is a subject as AWS writes it, except that it does not claim to be Amazon.
func name(common string) pkix.Name {
	return pkix.Name{Country: []string{"US"}, Organization: []string{"Containment Chamber"}, OrganizationalUnit: []string{"not AWS"}, CommonName: common}
}
