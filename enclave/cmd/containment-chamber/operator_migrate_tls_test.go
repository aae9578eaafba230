package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// clientCertificate writes a client's certificate and its key in PEM.
func clientCertificate(t *testing.T, dir string) (cert, key string, der []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "operator"}, NotAfter: time.Now().Add(time.Hour)}
	if der, err = x509.CreateCertificate(rand.Reader, template, template, private.Public(), private); err != nil {
		t.Fatal(err)
	}
	own, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("client.pem", "CERTIFICATE", der), write("client.key", "PRIVATE KEY", own), der
}

// TestMigrateCompareTLS: an old signer that is known by a file of authorities, and knows the operator by a certificate and a token.
func TestMigrateCompareTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key, der := clientCertificate(t, dir)
	old, signer := newOtherSigner(t, 1), newOtherSigner(t, 1)
	url := signer.start().URL
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) != 1 || !bytes.Equal(r.TLS.PeerCertificates[0].Raw, der) {
			t.Error("not the operator's certificate")
		}
		old.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = zap.NewStdLog(zap.NewNop()) // the refused handshakes are ours
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OLD_TOKEN", "canary-token")
	basic := filepath.Join(dir, "basic")
	if err := os.WriteFile(basic, []byte("user:canary-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	compareTLS := func(args ...string) (int, string, string) {
		return command(t, append([]string{"operator", "migrate", "compare", "--signer-url", url, "--allow-plaintext-signer", "--old", server.URL}, args...)...)
	}
	own := []string{"--old-ca", ca, "--old-client-cert", cert, "--old-client-key", key}
	for header, args := range map[string][]string{
		"":                    nil,
		"Bearer canary-token": {"--old-token", "env:OLD_TOKEN"},
		"Basic " + base64.StdEncoding.EncodeToString([]byte("user:canary-token")): {"--old-basic-auth", "file:" + basic},
	} {
		old.header = map[string]string{"Authorization": header}
		signer.header = map[string]string{"Authorization": ""} // it is not for the new one
		code, out, errs := compareTLS(append(args, own...)...)
		if code != exitOK || !strings.Contains(out, "passed                  1") || strings.Contains(out+errs, "canary") {
			t.Errorf("%q: exit code %d, %s%s", header, code, out, errs)
		}
	}
	old.header = nil
	for name, test := range map[string]struct {
		args  []string
		words string
	}{
		"no authority":   {own[2:], "certificate signed by unknown authority"},
		"no certificate": {own[:2], "certificate required"},
	} {
		code, out, errs := compareTLS(test.args...)
		if code != exitFailure || out != "" || !strings.Contains(errs, "the keys of the old signer: ") || !strings.Contains(errs, test.words) {
			t.Errorf("%s: exit code %d, %s%s", name, code, out, errs)
		}
	}
}

// TestMigrateCompareAttested: a new signer that is an enclave, and one that is another than the policy says.
func TestMigrateCompareAttested(t *testing.T) {
	e := newEnclave(t)
	old, signer := newOtherSigner(t, 1, 2), newOtherSigner(t, 1, 2)
	url, oldURL := e.serve(signer).URL, old.start().URL
	args := []string{"operator", "migrate", "compare", "--signer-url", url, "--old", oldURL, "--allow-plaintext-old", "--attestation-root", e.rootFile}
	policy := e.policy("policy.yaml")
	if code, out, errs := command(t, append(args, "--policy", policy)...); code != exitOK || !strings.Contains(out, "passed                  2") {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
	wrong := e.write("wrong.yaml", []byte(fmt.Sprintf("sets: [{pcrs: {PCR0: %s}}]\n", e.pcrs[1])))
	if code, out, errs := command(t, append(args, "--policy", wrong)...); code != exitFailure || out != "" || !strings.Contains(errs, "no answer of the signer: ") {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
}
