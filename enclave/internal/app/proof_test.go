package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// prover is one connection to an enclave, which asks for proofs.
type prover struct {
	c      *booted
	client *http.Client
	conn   *tls.Conn
}

func newProver(c *booted) *prover {
	p := &prover{c: c}
	transport := &http.Transport{DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		nc, err := c.net.Dial(ctx, vsock.CIDParent, wire.PortAPI)
		if err != nil {
			return nil, err
		}
		p.conn = tls.Client(nc, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
		return p.conn, p.conn.HandshakeContext(ctx)
	}}
	c.t.Cleanup(transport.CloseIdleConnections)
	p.client = &http.Client{Transport: transport}
	return p
}

// ask returns the status and the answer to a nonce.
func (p *prover) ask(nonce []byte) (int, []byte) {
	p.c.t.Helper()
	res, err := p.client.Get("https://enclave" + atls.WellKnownPath + "?nonce=" + hex.EncodeToString(nonce))
	if err != nil {
		p.c.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.c.t.Fatal(err)
	}
	return res.StatusCode, body
}

// TestProofsOfConnections: each speaks of its own connection and of the caller's nonce, and there are few for each connection.
func TestProofsOfConnections(t *testing.T) {
	c := startChamber(t, `{network: hoodi, tls: {mode: atls}, tee: {platform: simulated, simulated: {socket_dir: DIR, state_dir: DIR/nsm}},
key_sources: {filesystem: {paths: [DIR/keys]}}, anti_slashing: {backend: sqlite, sqlite: {path: DIR/s.sqlite}}}`)
	if err := os.Mkdir(filepath.Join(c.dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "keys", "k.yaml"), []byte(descriptorOf(secretKey)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.awaitReady()
	root, err := os.ReadFile(filepath.Join(c.dir, "nsm", "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := attestation.ParseRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[32]byte]bool{}
	for range 2 {
		p := newProver(c)
		for n := range 4 {
			var nonce [atls.NonceSize]byte
			_, _ = rand.Read(nonce[:])
			status, raw := p.ask(nonce[:])
			if n >= 2 {
				if status != http.StatusServiceUnavailable || !bytes.Contains(raw, []byte("too many proofs")) {
					t.Errorf("proof %d of a connection: %d %s", n, status, raw)
				}
				continue
			}
			doc, err := attestation.Verify(raw, attestation.Options{Roots: []*x509.Certificate{ca}, Nonce: nonce[:]})
			if err != nil || status != http.StatusOK {
				t.Fatalf("%d: %v", status, err)
			}
			binding, err := atls.ParseBinding(doc.UserData)
			if err != nil {
				t.Fatal(err)
			}
			state := p.conn.ConnectionState()
			exporter, err := atls.Exporter(&state)
			if err != nil {
				t.Fatal(err)
			}
			if binding.Purpose != atls.PurposeProof || binding.Exporter != exporter || doc.PublicKey != nil ||
				binding.SPKI != sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo) || binding.Config == [48]byte{} {
				t.Errorf("%+v", binding)
			}
			seen[binding.Exporter] = true
		}
	}
	if len(seen) != 2 {
		t.Errorf("%d exporters on two connections", len(seen))
	}
}
