package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// The listeners that do nothing but handshakes. Each closes a connection as soon as its side has ended.
const (
	listenTCP      = "tcp" // no handshake at all
	listenPlain    = "plain"
	listenPinned   = "pinned"
	listenAttested = "attested"
)

// ordinaryName is the name in ordinary certificates.
const ordinaryName = "signer.example"

// serveHandshakes opens the listeners. Those of plain TLS differ from the attested one in their certificates alone.
func (s *simulated) serveHandshakes(ctx context.Context) error {
	authority, authorityKey, err := ordinary(nil, nil)
	if err != nil {
		return err
	}
	leaf, key, err := ordinary(authority, authorityKey)
	if err != nil {
		return err
	}
	pinned, pinnedKey, err := ordinary(nil, nil)
	if err != nil {
		return err
	}
	attested := s.attested.ServerConfig()
	shown, err := attested.GetCertificate(nil)
	if err != nil {
		return err
	}
	s.state.Authority, s.state.Pinned = authority.Raw, pinned.Raw
	for name, config := range map[string]*tls.Config{
		listenTCP: nil, listenPlain: plainConfig(attested, leaf, key), listenPinned: plainConfig(attested, pinned, pinnedKey), listenAttested: attested,
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s.state.Addresses[name] = l.Addr().String()
		s.group.Go(func() error { return greet(ctx, l, config) })
	}
	s.state.Sizes[listenPlain], s.state.Sizes[listenPinned], s.state.Sizes[listenAttested] = len(leaf.Raw), len(pinned.Raw), len(shown.Certificate[0])
	return nil
}

// plainConfig is like another, but for the certificate.
func plainConfig(like *tls.Config, leaf *x509.Certificate, key *ecdsa.PrivateKey) *tls.Config {
	c := like.Clone()
	c.GetCertificate = nil
	c.Certificates = []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}}
	return c
}

// ordinary makes a certificate of a new P-256 key as an operator's own authority would, or that authority's if it is nil.
func ordinary(authority *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make an ordinary certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, fmt.Errorf("make an ordinary certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"Operator"}, CommonName: ordinaryName}, DNSNames: []string{ordinaryName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	if authority == nil {
		template.KeyUsage |= x509.KeyUsageCertSign
		template.IsCA = true
		authority, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), signer)
	if err != nil {
		return nil, nil, fmt.Errorf("make an ordinary certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("make an ordinary certificate: %w", err)
	}
	return leaf, key, nil
}

// greet makes handshakes until ctx ends. A client that fails sees it itself.
func greet(ctx context.Context, l net.Listener, config *tls.Config) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		all.Go(func() {
			if config != nil {
				_ = tls.Server(conn, config).HandshakeContext(ctx)
			}
			_ = conn.Close()
		})
	}
}
