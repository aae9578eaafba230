package certs_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/certs"
)

// files is a directory with a certificate and a key.
type files struct{ dir, cert, key string }

func newFiles(t *testing.T) files {
	t.Helper()
	dir := t.TempDir()
	return files{dir: dir, cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key")}
}

func (f files) options(log *zap.Logger) certs.FileOptions {
	return certs.FileOptions{CertPath: f.cert, KeyPath: f.key, Reload: time.Minute, Log: log, Metrics: prometheus.NewRegistry()}
}

func (f files) write(t *testing.T, cert, key []byte) {
	t.Helper()
	put(t, f.cert, cert)
	put(t, f.key, key)
}

// put replaces a file as the operator should: written aside, then renamed.
func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// selfSigned returns PEM of a certificate that ends a day from now, and of its key in PKCS #8.
func selfSigned(t *testing.T, name string, key crypto.Signer) (certPEM, keyPEM []byte) {
	t.Helper()
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func ec(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestFileRefusesBadPairs(t *testing.T) {
	cert, key := selfSigned(t, "a", ec(t))
	_, otherKey := selfSigned(t, "b", ec(t))
	for name, c := range map[string]struct {
		cert, key []byte
		want      string
	}{
		"no certificate file":    {nil, key, "tls.file.cert_path: certificate not found: open "},
		"no key file":            {cert, nil, "tls.file.key_path: key not found: open "},
		"certificate is no PEM":  {[]byte("hello"), key, "malformed PEM: no CERTIFICATE block"},
		"certificate is empty":   {[]byte{}, key, "malformed PEM: no CERTIFICATE block"},
		"certificate is garbage": {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), key, "malformed certificate"},
		"key is no PEM":          {cert, []byte("hello"), "malformed PEM: no PRIVATE KEY block"},
		"files exchanged":        {key, cert, "malformed PEM: no CERTIFICATE block"},
		"key is garbage":         {cert, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("x")}), "malformed key: EC PRIVATE KEY block"},
		"another's key":          {cert, otherKey, "do not match"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			if c.cert != nil {
				put(t, f.cert, c.cert)
			}
			if c.key != nil {
				put(t, f.key, c.key)
			}
			got, err := certs.NewFile(f.options(zap.NewNop()))
			if got != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("NewFile = %v, want %q", err, c.want)
			}
			if !strings.Contains(err.Error(), f.dir) {
				t.Errorf("error does not name the file: %v", err)
			}
			if strings.Contains(err.Error(), strings.Split(string(key), "\n")[1]) {
				t.Errorf("error shows the key: %v", err)
			}
		})
	}
}

func TestFileNamesUnreadableKey(t *testing.T) {
	f := newFiles(t)
	cert, _ := selfSigned(t, "a", ec(t))
	put(t, f.cert, cert)
	if err := os.Mkdir(f.key, 0o700); err != nil { // unreadable even for root, who runs some of these tests
		t.Fatal(err)
	}
	if _, err := certs.NewFile(f.options(zap.NewNop())); err == nil || !strings.Contains(err.Error(), "tls.file.key_path: key unreadable: ") {
		t.Errorf("NewFile = %v, want key unreadable", err)
	}
}

func TestFileTakesAllKeyEncodings(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecKey := ec(t)
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	params := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 1, 1}})
	for name, c := range map[string]struct {
		key crypto.Signer
		pem []byte // nil for PKCS #8
	}{
		"PKCS #8 RSA": {rsaKey, nil}, "PKCS #8 Ed25519": {edKey, nil}, "PKCS #8 EC": {ecKey, nil},
		"PKCS #1": {rsaKey, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)})},
		"SEC 1":   {ecKey, append(params, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})...)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			cert, key := selfSigned(t, "signer.example", c.key)
			if c.pem != nil {
				key = c.pem
			}
			f.write(t, cert, key)
			got, err := certs.NewFile(f.options(zap.NewNop()))
			if err != nil {
				t.Fatal(err)
			}
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(cert)
			state, err := handshake(t, got.ServerConfig(), &tls.Config{RootCAs: pool, ServerName: "signer.example", NextProtos: []string{"h2"}})
			if err != nil || state.NegotiatedProtocol != "h2" {
				t.Errorf("handshake: %v, protocol %q", err, state.NegotiatedProtocol)
			}
		})
	}
}

// TestFileReload replaces the pair, one file after the other with a tick between, then breaks it.
func TestFileReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFiles(t)
		cert, key := selfSigned(t, "old", ec(t))
		f.write(t, cert, key)
		core, logs := observer.New(zap.InfoLevel)
		opts := f.options(zap.New(core))
		got, err := certs.NewFile(opts)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- got.Run(ctx) }()
		name := func() string {
			t.Helper()
			cert, err := got.GetCertificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			return cert.Leaf.Subject.CommonName
		}
		tick := func() {
			<-time.After(time.Minute)
			synctest.Wait()
		}

		tick()
		if name() != "old" || logs.Len() != 0 {
			t.Errorf("unchanged files: %s served, %d log lines", name(), logs.Len())
		}
		cert, key = selfSigned(t, "new", ec(t))
		put(t, f.cert, cert)
		tick()
		tick()
		if name() != "old" {
			t.Errorf("half a pair: %s served", name())
		}
		if n := logs.FilterMessageSnippet("not reloaded").Len(); n != 1 {
			t.Errorf("the same fault was logged %d times, want once", n)
		}
		put(t, f.key, key)
		tick()
		if name() != "new" || logs.FilterMessage("certificate reloaded").Len() != 1 {
			t.Errorf("whole pair: %s served, log %v", name(), logs.All())
		}
		if err := os.Remove(f.key); err != nil {
			t.Fatal(err)
		}
		tick()
		if name() != "new" || got.Healthy() != nil {
			t.Errorf("without key: %s served, health %v", name(), got.Healthy())
		}
		if n, err := testutil.GatherAndCount(opts.Metrics.(prometheus.Gatherer)); err != nil || n != 3 {
			t.Errorf("%d metrics, %v", n, err)
		}
		<-time.After(25 * time.Hour)
		if err := got.Healthy(); err == nil || !strings.Contains(err.Error(), f.cert+" expired at ") {
			t.Errorf("health of an expired certificate = %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestFileWithoutReload(t *testing.T) {
	f := newFiles(t)
	cert, key := selfSigned(t, "a", ec(t))
	f.write(t, cert, key)
	opts := f.options(zap.NewNop())
	opts.Reload = 0
	got, err := certs.NewFile(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := got.Run(ctx); err != nil {
		t.Error(err)
	}
}
