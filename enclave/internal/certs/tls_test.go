package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/certs"
)

// fromFile is a pair in files that is served, and who trusts it.
func fromFile(t *testing.T) (*certs.File, *x509.CertPool) {
	t.Helper()
	f := newFiles(t)
	cert, key := selfSigned(t, "signer.example", ec(t))
	f.write(t, cert, key)
	served, err := certs.NewFile(f.options(zap.NewNop()))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return served, pool
}

// TestFileVersions: the least is ours, whatever the default of package tls is.
func TestFileVersions(t *testing.T) {
	t.Setenv("GODEBUG", "tls10server=1")
	served, pool := fromFile(t)
	for version, refused := range map[uint16]bool{
		tls.VersionTLS10: true, tls.VersionTLS11: true, tls.VersionTLS12: false, tls.VersionTLS13: false,
	} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			client := &tls.Config{RootCAs: pool, ServerName: "signer.example", MinVersion: version, MaxVersion: version}
			state, err := handshake(t, served.ServerConfig(), client)
			switch {
			case refused && (err == nil || !strings.Contains(err.Error(), "protocol version")):
				t.Errorf("handshake: %v, want that the version is refused", err)
			case !refused && (err != nil || state.Version != version):
				t.Errorf("handshake: %v, %s", err, tls.VersionName(state.Version))
			}
		})
	}
}

// TestResumption: a client that keeps its sessions sees the certificate on each attested connection all the same. From files it
// is let in without, which shows that it would.
func TestResumption(t *testing.T) {
	attested := newHouse(t, newHypervisor(t, time.Now().Add(3*time.Hour)))
	if err := attested.Issue(t.Context()); err != nil {
		t.Fatal(err)
	}
	file, _ := fromFile(t)
	for name, test := range map[string]struct {
		server  *tls.Config
		resumes bool
	}{
		"attested": {attested.ServerConfig(), false},
		"file":     {file.ServerConfig(), true},
	} {
		t.Run(name, func(t *testing.T) {
			client := &tls.Config{
				InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, ServerName: "signer.example",
				ClientSessionCache: tls.NewLRUClientSessionCache(1),
			}
			for n, want := range []bool{false, test.resumes} {
				if state := talk(t, test.server, client); state.DidResume != want {
					t.Errorf("connection %d resumes a session: %v, want %v", n, state.DidResume, want)
				}
			}
		})
	}
}

// talk has a client read something after its handshake: tickets come before it. The connection has buffers, as both sides write at once.
func talk(t *testing.T, server, client *tls.Config) tls.ConnectionState {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	said := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.WriteString(c, "hello")
			_ = c.Close()
		}
		said <- err
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
		t.Errorf("read %q, %v", b, err)
	}
	if err := <-said; err != nil {
		t.Error(err)
	}
	return c.ConnectionState()
}
