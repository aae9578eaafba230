package kmstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// CA signs the server's certificate.
type CA struct {
	Certificate *x509.Certificate

	key *ecdsa.PrivateKey
}

// NewCA makes one that is valid from an hour before now for ten years. Its name says that it is not Amazon's.
func NewCA(now time.Time) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "kmstest, not Amazon"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	cert, err := certify(template, template, key, key)
	if err != nil {
		return nil, fmt.Errorf("make the authority's certificate: %w", err)
	}
	return &CA{cert, key}, nil
}

// ParseCA reads what MarshalPEM wrote.
func ParseCA(cert, key []byte) (*CA, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read the authority: %w", err)
	}
	private, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, errors.New("read the authority: not one with an ECDSA key")
	}
	return &CA{pair.Leaf, private}, nil
}

// MarshalPEM returns the certificate, which clients are given, and the key, which they are not (PKCS #8).
func (c *CA) MarshalPEM() (cert, key []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return nil, nil, err
	}
	return c.PEM(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// PEM is the certificate.
func (c *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate.Raw})
}

// CA signs the server's certificate.
func (s *Server) CA() *CA { return s.ca }

// Pool is what a client trusts to reach the server.
func (s *Server) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.ca.Certificate)
	return pool
}

// TLSConfig has a certificate for the names that AWS has for KMS and STS in the regions of the keys, and for those of the options.
func (s *Server) TLSConfig() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	names := append([]string{"localhost", "sts.amazonaws.com"}, s.hosts...)
	for _, region := range s.regions() {
		names = append(names, "kms."+region+".amazonaws.com", "sts."+region+".amazonaws.com")
	}
	slices.Sort(names)
	now := s.now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "kmstest"}, DNSNames: slices.Compact(names), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leaf, err := certify(template, s.ca.Certificate, key, s.ca.key)
	if err != nil {
		return nil, fmt.Errorf("make the server's certificate: %w", err)
	}
	chain := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	return &tls.Config{Certificates: []tls.Certificate{chain}, MinVersion: tls.VersionTLS12}, nil
}

func certify(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func serial() *big.Int {
	return new(big.Int).SetBytes(random(16))
}
