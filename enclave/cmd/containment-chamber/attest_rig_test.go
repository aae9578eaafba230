package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// enclave is a signer that proves what it is, under a root of its own, or lies.
type enclave struct {
	t      *testing.T
	issuer *issuer.Issuer
	root   *x509.Certificate
	key    *ecdsa.PrivateKey
	pcrs   map[int]attestation.PCR
	now    time.Time

	dir, rootFile, trustFile string
}

func newEnclave(t *testing.T) *enclave {
	t.Helper()
	e := &enclave{t: t, dir: t.TempDir(), now: time.Now(), pcrs: map[int]attestation.PCR{0: {1}, 1: {2}, 2: {3}, 3: {4}, 8: {}, 16: {5}}}
	root, err := issuer.NewRoot(e.now)
	e.check(err)
	e.root = root.Certificate
	e.issuer, err = issuer.NewIssuer(root, "i-0123456789abcdef0-enc0123456789abcdef", "local-dev-1", e.now)
	e.check(err)
	e.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	e.check(err)
	text, _, err := root.MarshalPEM()
	e.check(err)
	e.rootFile = e.write("root.pem", text)
	e.trustFile = filepath.Join(e.dir, "trusted", "signers.json")
	return e
}

func (e *enclave) check(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *enclave) write(name string, text []byte) string {
	e.t.Helper()
	path := filepath.Join(e.dir, name)
	e.check(os.WriteFile(path, text, 0o600))
	return path
}

func (e *enclave) spki() [32]byte {
	e.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(e.key.Public())
	e.check(err)
	return sha256.Sum256(der)
}

// binding speaks of the enclave's key in a certificate.
func (e *enclave) binding() atls.Binding {
	return atls.Binding{Purpose: atls.PurposeCertificate, SPKI: e.spki(), Config: [48]byte{0xc0}, Build: "0.1.0"}
}

func (e *enclave) document(b atls.Binding, nonce []byte) []byte {
	e.t.Helper()
	userData, err := b.Marshal()
	e.check(err)
	raw, err := e.issuer.Issue(issuer.Payload{PCRs: e.pcrs, UserData: userData, Nonce: nonce}, e.now)
	e.check(err)
	return raw
}

// certificate is one of the enclave's key with extensions; lasting so long from now on.
func (e *enclave) certificate(lasting time.Duration, extensions ...pkix.Extension) []byte {
	e.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"}, NotBefore: e.now.Add(-time.Minute), NotAfter: e.now.Add(lasting),
		ExtraExtensions: extensions,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, e.key.Public(), e.key)
	e.check(err)
	return der
}

// serve shows a certificate around the document, and answers with h.
func (e *enclave) serve(h http.Handler) *httptest.Server {
	e.t.Helper()
	der := e.certificate(time.Hour, atls.Extension(e.document(e.binding(), nil)))
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = zap.NewStdLog(zap.NewNop()) // the refused handshakes are ours
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: e.key}}, MinVersion: tls.VersionTLS13}
	s.StartTLS()
	e.t.Cleanup(s.Close)
	return s
}

// policy writes a policy of exactly this enclave, with further lines.
func (e *enclave) policy(name string, lines ...string) string {
	e.t.Helper()
	text := "sets: [{pcrs: {PCR0: " + e.pcrs[0].String() + "}}]\n" + strings.Join(lines, "\n") + "\n"
	return e.write(name, []byte(text))
}

// proofs answers with proofs that lie when told to.
func (e *enclave) proofs(lie func(b *atls.Binding, nonce []byte) []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nonce, err := hex.DecodeString(r.URL.Query().Get("nonce"))
		if err != nil || len(nonce) != atls.NonceSize {
			http.Error(w, "nonce", http.StatusBadRequest)
			return
		}
		exporter, err := atls.Exporter(r.TLS)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b := e.binding()
		b.Purpose, b.Exporter = atls.PurposeProof, exporter
		if lie != nil {
			nonce = lie(&b, nonce)
		}
		w.Header().Set("Content-Type", atls.MediaType)
		_, _ = w.Write(e.document(b, nonce)) //nolint:gosec // a document is no page
	})
}

// command runs the program and returns what it said.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}
