package atls_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// now is the time for clients and servers.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var (
	image  = map[int]attestation.PCR{0: {1}, 1: {2}, 2: {3}}
	policy = attestation.Policy{Sets: []attestation.Set{{Label: "image", PCRs: attestation.Measurements{0: {1}, 1: {2}, 2: {3}}}}}
)

// authority is the development root and one enclave's issuer under it.
type authority struct {
	root *issuer.Root

	mu     sync.Mutex // held for each document
	issuer *issuer.Issuer
}

func (a *authority) issue(p issuer.Payload, at time.Time) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.issuer.Issue(p, at)
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	root, err := issuer.NewRoot(now)
	if err != nil {
		t.Fatal(err)
	}
	i, err := issuer.NewIssuer(root, "i-0123456789abcdef0-enc0123456789abcdef", "local-dev-1", now)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{root: root, issuer: i}
}

func (a *authority) options() atls.Options {
	return atls.Options{Policy: policy, Roots: []*x509.Certificate{a.root.Certificate}, Now: func() time.Time { return now }}
}

// server makes an honest server's certificate, with the changes of its hooks.
type server struct {
	binding    func(*atls.Binding)
	payload    func(*issuer.Payload)
	extensions func([]pkix.Extension) []pkix.Extension
	template   func(*x509.Certificate)
	after      func([]byte)            // on the finished certificate
	issued     time.Time               // of the document; zero is now
	config     func(*tls.Config)       // of the listener
	signer     *ecdsa.PrivateKey       // of the certificate; nil is its own key
	chain      func([][]byte) [][]byte // what is sent
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (s server) certificate(t testing.TB, a *authority) tls.Certificate {
	t.Helper()
	key := newKey(t)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	binding := atls.Binding{Purpose: atls.PurposeCertificate, SPKI: sha256.Sum256(spki), Config: [48]byte{7}, Build: "v1"}
	if s.binding != nil {
		s.binding(&binding)
	}
	userData, err := binding.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	payload := issuer.Payload{PCRs: image, UserData: userData}
	if s.payload != nil {
		s.payload(&payload)
	}
	issued := now
	if !s.issued.IsZero() {
		issued = s.issued
	}
	document, err := a.issue(payload, issued)
	if err != nil {
		t.Fatal(err)
	}
	extensions := []pkix.Extension{atls.Extension(document)}
	if s.extensions != nil {
		extensions = s.extensions(extensions)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, ExtraExtensions: extensions,
	}
	if s.template != nil {
		s.template(template)
	}
	signer := key
	if s.signer != nil {
		signer = s.signer
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if s.after != nil {
		s.after(der)
	}
	chain := [][]byte{der}
	if s.chain != nil {
		chain = s.chain(chain)
	}
	return tls.Certificate{Certificate: chain, PrivateKey: key}
}

// start serves on a loopback address until the test ends: it echoes what a client sends.
func (s server) start(t *testing.T, a *authority) string {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{s.certificate(t, a)}, Time: func() time.Time { return now }}
	if s.config != nil {
		s.config(config)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer conn.Close()
				c := tls.Server(conn, config)
				_, _ = io.Copy(c, c)
				_ = c.CloseWrite()
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		served.Wait()
	})
	return listener.Addr().String()
}

// dial connects, sends one message and reads it back, so that everything the server sends after the handshake has arrived.
func dial(t *testing.T, address string, config *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	d := tls.Dialer{Config: config}
	conn, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	c, message := conn.(*tls.Conn), []byte("hello")
	if _, err := c.Write(message); err != nil {
		return tls.ConnectionState{}, err
	}
	if err := c.CloseWrite(); err != nil {
		return tls.ConnectionState{}, err
	}
	back, err := io.ReadAll(c)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	if !bytes.Equal(back, message) {
		t.Errorf("got %q back, want %q", back, message)
	}
	return c.ConnectionState(), nil
}
