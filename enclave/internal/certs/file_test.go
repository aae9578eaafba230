package certs_test

import (
	"bytes"
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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

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
	return valid(t, name, key, -time.Minute, 24*time.Hour)
}

// valid is a pair that is valid from and until so long from now.
func valid(t *testing.T, name string, key crypto.Signer, from, until time.Duration) (certPEM, keyPEM []byte) {
	t.Helper()
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(from), NotAfter: now.Add(until),
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

// TestFileRefusesBadPairs has all the faults of a pair that the documents name, with the whole message.
func TestFileRefusesBadPairs(t *testing.T) {
	cert, key := selfSigned(t, "a", ec(t))
	_, otherKey := selfSigned(t, "b", ec(t))
	block := func(kind, text string) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(text)}) }
	directory := []byte("directory") // unreadable even for root, who runs some of these tests
	for name, c := range map[string]struct {
		cert, key []byte // nil is no file
		want      string // with CERT and KEY for the files
	}{
		"no certificate file":       {nil, key, "tls.file.cert_path: certificate not found: open CERT: no such file or directory"},
		"no key file":               {cert, nil, "tls.file.key_path: key not found: open KEY: no such file or directory"},
		"unreadable certificate":    {directory, key, "tls.file.cert_path: certificate unreadable: read CERT: is a directory"},
		"unreadable key":            {cert, directory, "tls.file.key_path: key unreadable: read KEY: is a directory"},
		"certificate is no PEM":     {[]byte("hello"), key, "tls.file.cert_path: certificate CERT: malformed PEM: no CERTIFICATE block"},
		"certificate is empty":      {[]byte{}, key, "tls.file.cert_path: certificate CERT: malformed PEM: no CERTIFICATE block"},
		"certificate is cut off":    {cert[:len(cert)/2], key, "tls.file.cert_path: certificate CERT: malformed PEM: no CERTIFICATE block"},
		"certificate is garbage":    {block("CERTIFICATE", "x"), key, "tls.file.cert_path: certificate CERT: malformed certificate, number 1 in the file: x509: malformed certificate"},
		"intermediate is cut off":   {slices.Concat(cert, cert[:len(cert)/2]), key, "tls.file.cert_path: certificate CERT: malformed PEM: 2 CERTIFICATE blocks, of which 1 can be read"},
		"intermediate is garbage":   {slices.Concat(cert, block("CERTIFICATE", "x")), key, "tls.file.cert_path: certificate CERT: malformed certificate, number 2 in the file: x509: malformed certificate"},
		"key is no PEM":             {cert, []byte("hello"), "tls.file.key_path: key KEY: malformed PEM: no PRIVATE KEY block"},
		"key is cut off":            {cert, key[:len(key)/2], "tls.file.key_path: key KEY: malformed PEM: no PRIVATE KEY block"},
		"files exchanged":           {key, cert, "tls.file.cert_path: certificate CERT: malformed PEM: no CERTIFICATE block"},
		"key is garbage":            {cert, block("EC PRIVATE KEY", "x"), "tls.file.key_path: key KEY: malformed key: EC PRIVATE KEY block is neither PKCS #8, PKCS #1 nor SEC 1, or is encrypted"},
		"key is encrypted":          {cert, block("ENCRYPTED PRIVATE KEY", "x"), "tls.file.key_path: key KEY: malformed key: ENCRYPTED PRIVATE KEY block is neither PKCS #8, PKCS #1 nor SEC 1, or is encrypted"},
		"another's key":             {cert, otherKey, "tls.file: certificate CERT and key KEY do not match"},
		"another's key comes first": {cert, slices.Concat(otherKey, key), "tls.file: certificate CERT and key KEY do not match"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			for path, text := range map[string][]byte{f.cert: c.cert, f.key: c.key} {
				switch {
				case text == nil:
				case bytes.Equal(text, directory):
					if err := os.Mkdir(path, 0o700); err != nil {
						t.Fatal(err)
					}
				default:
					put(t, path, text)
				}
			}
			got, err := certs.NewFile(f.options(zap.NewNop()))
			if want := strings.NewReplacer("CERT:", f.cert+":", "CERT ", f.cert+" ", "KEY:", f.key+":", "KEY do", f.key+" do").Replace(c.want); got != nil || err == nil || err.Error() != want {
				t.Errorf("NewFile = %v, want %s", err, want)
			}
		})
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
