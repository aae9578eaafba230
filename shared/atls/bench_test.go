package atls_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

// plain is a TLS 1.3 server with a P-256 certificate of a P-256 authority, and a client that trusts the authority: the usual handshake,
// against which the attested one is measured.
func plain(b *testing.B) (server, client *tls.Config) {
	b.Helper()
	make := func(template, parent *x509.Certificate, key, signer any) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
		if err != nil {
			b.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
	caKey, key := newKey(b), newKey(b)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca = make(ca, ca, caKey.Public(), caKey)
	leaf := make(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "signer"}, DNSNames: []string{"signer"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca, key.Public(), caKey)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	clock := func() time.Time { return now }
	server = &tls.Config{
		MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, Time: clock,
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}},
	}
	return server, &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: "signer", Time: clock}
}

// attested is the same with an attested certificate, and the options for its clients.
func attested(b *testing.B) (*tls.Config, atls.Options) {
	b.Helper()
	a := newAuthority(b)
	certificate := server{}.certificate(b, a)
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		b.Fatal(err)
	}
	certificate.Leaf = leaf
	o := a.options()
	return &tls.Config{
		MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, Time: o.Now, Certificates: []tls.Certificate{certificate},
	}, o
}

// always is the same configuration for each handshake.
func always(c *tls.Config) func() *tls.Config { return func() *tls.Config { return c } }

// configured is a client that remembers the documents it has seen.
func configured(b *testing.B, o atls.Options) *tls.Config {
	b.Helper()
	c, err := atls.ClientConfig(o)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// handshakes makes one handshake after the other over TCP and reports what each side needs of the processor.
func handshakes(b *testing.B, server *tls.Config, client func() *tls.Config, report func(server, client time.Duration) time.Duration) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	var serverTime, clientTime time.Duration
	for b.Loop() {
		near, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		far, err := listener.Accept()
		if err != nil {
			b.Fatal(err)
		}
		config := client()
		var one sync.WaitGroup
		one.Go(func() {
			serverTime += thread(func() {
				if err := tls.Server(far, server).HandshakeContext(context.Background()); err != nil {
					b.Error(err)
				}
			})
		})
		clientTime += thread(func() {
			if err := tls.Client(near, config).HandshakeContext(context.Background()); err != nil {
				b.Error(err)
			}
		})
		one.Wait()
		near.Close()
		far.Close()
	}
	b.ReportMetric(float64(report(serverTime, clientTime))/float64(b.N), "ns/op")
}

func ofServer(server, _ time.Duration) time.Duration { return server }
func ofClient(_, client time.Duration) time.Duration { return client }

// BenchmarkHandshakeOfClient is the client's processor time for a handshake: plain, with a document that it has seen before, and with one
// that it has not.
func BenchmarkHandshakeOfClient(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		server, client := plain(b)
		handshakes(b, server, always(client), ofClient)
	})
	b.Run("seen", func(b *testing.B) {
		server, o := attested(b)
		handshakes(b, server, always(configured(b, o)), ofClient)
	})
	b.Run("first", func(b *testing.B) {
		server, o := attested(b)
		handshakes(b, server, func() *tls.Config { return configured(b, o) }, ofClient)
	})
}

// BenchmarkHandshakeOfServer is the server's.
func BenchmarkHandshakeOfServer(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		server, client := plain(b)
		handshakes(b, server, always(client), ofServer)
	})
	b.Run("attested", func(b *testing.B) {
		server, o := attested(b)
		handshakes(b, server, always(configured(b, o)), ofServer)
	})
}
