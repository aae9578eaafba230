package app

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// identity is a key and its certificate.
type identity struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// issue makes a certificate; without an issuer it is its own.
func issue(t *testing.T, name string, by *identity, change func(*x509.Certificate)) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: by == nil,
	}
	if change != nil {
		change(template)
	}
	issuer, signer := template, key
	if by != nil {
		issuer, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &identity{key, cert}
}

func (i *identity) certPEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw}))
}

func (i *identity) keyPEM(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// TestClientCertificates stand for tokens: by their public key, or by their subject and who vouches for it, and no others do.
func TestClientCertificates(t *testing.T) {
	server, ca := issue(t, "signer", nil, nil), issue(t, "ca", nil, nil)
	pinned, named := issue(t, "pinned", nil, nil), issue(t, "teku", ca, nil)
	stranger, other := issue(t, "teku", issue(t, "ca", nil, nil), nil), issue(t, "prysm", ca, nil)
	old := issue(t, "teku", ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	web := issue(t, "teku", ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })

	a := startAlone(t, ", tls: {mode: file, listen_port: 0, file: {cert_path: DIR/tls.crt, key_path: DIR/tls.key}}", "CONTAINMENT_AUTH__MODE=policies",
		"CONTAINMENT_AUTH__CLIENT_CERTIFICATES=true", "TEST_TLS="+server.certPEM()+server.keyPEM(t))
	spki := sha256.Sum256(pinned.cert.RawSubjectPublicKeyInfo)
	a.write("policies.yaml", fmt.Sprintf(`policies: [{name: lists, rules: [{effect: allow, scopes: [public_keys]}]}]
certificates:
  - {name: pinned, spki_sha256: %x, policies: [lists]}
  - name: teku
    subject: %q
    policies: [lists]
    ca_pem: |
%s`, spki, named.cert.Subject.String(), indent(ca.certPEM())))
	a.until(func() bool { return len(a.lines.with("policies and tokens read again")) > 0 })
	var address string
	for _, l := range a.lines.with("listening") {
		if l["listener"] == "tls" {
			address = fmt.Sprint(l["address"])
		}
	}
	got := map[string]int{}
	for name, who := range map[string]*identity{
		"none": nil, "pinned": pinned, "named": named, "of another authority": stranger, "another subject": other, "expired": old, "of a server": web,
	} {
		roots := x509.NewCertPool()
		roots.AddCert(server.cert)
		config := &tls.Config{RootCAs: roots}
		if who != nil {
			config.Certificates = []tls.Certificate{{Certificate: [][]byte{who.cert.Raw}, PrivateKey: who.key}}
		}
		transport := &http.Transport{TLSClientConfig: config}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/api/v1/eth2/publicKeys", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = res.Body.Close()
		transport.CloseIdleConnections()
		got[name] = res.StatusCode
	}
	want := map[string]int{"none": 401, "pinned": 200, "named": 200, "of another authority": 401, "another subject": 401, "expired": 401, "of a server": 401}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	a.token = ""
	// Beside TLS the main listener serves health alone.
	for path, want := range map[string]int{"/upcheck": 200, "/readyz": 200, "/api/v1/eth2/publicKeys": 404} {
		if status, _, _ := a.ask(http.MethodGet, a.main+path, "", ""); status != want {
			t.Errorf("%s in clear: %d, want %d", path, status, want)
		}
	}
}

func indent(text string) string {
	var out bytes.Buffer
	for line := range strings.Lines(text) {
		out.WriteString("      " + line)
	}
	return out.String()
}
