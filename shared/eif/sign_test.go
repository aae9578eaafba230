package eif_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

func der[K any](t testing.TB, marshal func(K) ([]byte, error), key K) []byte {
	t.Helper()
	out, err := marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sec1 is a key as OpenSSL's ecparam writes it, with the parameters before it.
func (s signer) sec1(t testing.TB) string {
	return pemBlock("EC PARAMETERS", []byte("\x06\x05\x2b\x81\x04\x00\x22")) + pemBlock("EC PRIVATE KEY", der(t, x509.MarshalECPrivateKey, s.key))
}

func (s signer) pkcs8(t testing.TB) string {
	return pemBlock("PRIVATE KEY", der[any](t, x509.MarshalPKCS8PrivateKey, s.key))
}

func signingKey(t testing.TB, s signer) *eif.SigningKey {
	t.Helper()
	key, err := eif.NewSigningKey([]byte(s.pem()), []byte(s.pkcs8(t)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signed(t testing.TB, img eif.Image, key *eif.SigningKey) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := eif.WriteSigned(&out, img, key); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestWriteSigned: the same bytes each time, from either form of the key, and the registers of the image without a signature.
func TestWriteSigned(t *testing.T) {
	s := newSigner(t, es384, elliptic.P384(), crypto.SHA384)
	other, err := eif.NewSigningKey([]byte(s.pem()), []byte(s.sec1(t)))
	if err != nil {
		t.Fatal(err)
	}
	raw := signed(t, image(), signingKey(t, s))
	if !bytes.Equal(raw, signed(t, image(), other)) {
		t.Error("a second signature gave other bytes")
	}
	f := mustParse(t, raw)
	want := mustParse(t, written(t, image())).PCRs
	want[8] = eif.PCR8(s.der)
	if diff := cmp.Diff(want, f.PCRs); diff != "" {
		t.Error(diff)
	}
	if f.Signer == nil || f.Signer.Algorithm != "ES384" {
		t.Errorf("signer %+v", f.Signer)
	}
	if last := f.Sections[len(f.Sections)-1]; last.Type != eif.SignatureSection {
		t.Errorf("the last section is a %v", last.Type)
	}
}

// TestSignWhatWasRead: an image that was written without a signature, or with another's, gets the bytes of one that was signed at once.
func TestSignWhatWasRead(t *testing.T) {
	mine := signingKey(t, newSigner(t, es384, elliptic.P384(), crypto.SHA384))
	another := signingKey(t, newSigner(t, es384, elliptic.P384(), crypto.SHA384))
	want := signed(t, image(), mine)
	for name, raw := range map[string][]byte{"unsigned": written(t, image()), "signed by another": signed(t, image(), another), "signed": want} {
		if !bytes.Equal(want, signed(t, mustParse(t, raw).Image, mine)) {
			t.Errorf("%s: other bytes", name)
		}
	}
}

func TestWriteSignedRefuses(t *testing.T) {
	key := signingKey(t, newSigner(t, es384, elliptic.P384(), crypto.SHA384))
	img := image()
	for range 27 { // kernel, cmdline, metadata and three ramdisks are there
		img.Ramdisks = append(img.Ramdisks, reader("x"))
	}
	if err := eif.WriteSigned(io.Discard, img, key); err == nil || !strings.Contains(err.Error(), "34 sections, at most 32") {
		t.Errorf("too many sections: %v", err)
	}
	img = image()
	img.Kernel = nil
	if err := eif.WriteSigned(io.Discard, img, key); err == nil || !strings.Contains(err.Error(), "kernel: missing") {
		t.Errorf("no kernel: %v", err)
	}
}

func TestNewSigningKeyRefuses(t *testing.T) {
	s, other := newSigner(t, es384, elliptic.P384(), crypto.SHA384), newSigner(t, es384, elliptic.P384(), crypto.SHA384)
	p256 := newSigner(t, es256, elliptic.P256(), crypto.SHA256)
	encrypted := pemBlock("ENCRYPTED PRIVATE KEY", []byte("x"))
	for _, test := range []struct{ name, certificate, key, words string }{
		{"other key", s.pem(), other.pkcs8(t), "it is of another key"},
		{"other curve", p256.pem(), p256.pkcs8(t), "of P-256, want P-384"},
		{"certificate of another curve", p256.pem(), s.pkcs8(t), "it is of another key"},
		{"no certificate", "", s.pkcs8(t), "signing certificate: 0 PEM blocks"},
		{"two certificates", s.pem() + other.pem(), s.pkcs8(t), "2 PEM blocks, want 1"},
		{"key as the certificate", s.pkcs8(t), s.pkcs8(t), "want CERTIFICATE"},
		{"no key", s.pem(), "", "private key: no PEM block"},
		{"parameters alone", s.pem(), pemBlock("EC PARAMETERS", nil), "private key: no PEM block"},
		{"certificate as the key", s.pem(), s.pem(), "want PRIVATE KEY or EC PRIVATE KEY"},
		{"encrypted", s.pem(), encrypted, "not encrypted"},
		{"broken", s.pem(), pemBlock("PRIVATE KEY", []byte("x")), "private key: "},
		{"two keys", s.pem(), s.pkcs8(t) + other.pkcs8(t), "something follows"},
	} {
		if key, err := eif.NewSigningKey([]byte(test.certificate), []byte(test.key)); err == nil || key != nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: %v, want %q", test.name, err, test.words)
		}
	}
}

func TestSections(t *testing.T) {
	f := mustParse(t, good().bytes())
	for i, want := range []string{"kernel", "cmdline", someMetadata, "boot", "app1", "app2"} {
		body, err := io.ReadAll(f.Body(f.Sections[i]))
		if err != nil || string(body) != want {
			t.Errorf("section %d: %q, %v", i, body, err)
		}
		sum, err := f.Sum(f.Sections[i])
		if err != nil || sum != sha256.Sum256([]byte(want)) {
			t.Errorf("section %d: sum %x, %v", i, sum, err)
		}
	}
}
