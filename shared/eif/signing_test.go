package eif_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

// signer signs images as AWS's tools do, and wrongly.
type signer struct {
	protected string // the protected header as a CBOR byte string
	key       *ecdsa.PrivateKey
	hash      crypto.Hash
	der       []byte // the certificate
}

const (
	es256 = "\x43\xa1\x01\x26"
	es384 = "\x44\xa1\x01\x38\x22"
	es512 = "\x44\xa1\x01\x38\x23"
)

func newSigner(t testing.TB, protected string, curve elliptic.Curve, hash crypto.Hash) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{protected: protected, key: key, hash: hash, der: certificate(t, &key.PublicKey, key)}
}

// signers are one for each algorithm.
func signers(t testing.TB) map[string]signer {
	t.Helper()
	return map[string]signer{
		"ES256": newSigner(t, es256, elliptic.P256(), crypto.SHA256),
		"ES384": newSigner(t, es384, elliptic.P384(), crypto.SHA384),
		"ES512": newSigner(t, es512, elliptic.P521(), crypto.SHA512),
	}
}

func certificate(t testing.TB, public any, key crypto.Signer) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0xabcdef), Subject: pkix.Name{CommonName: "containment-chamber"},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (s signer) pem() string { return pemBlock("CERTIFICATE", s.der) }

func pemBlock(kind string, body []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: body}))
}

// head is the head of a CBOR item in its shortest form.
func head(kind byte, n int) string {
	switch {
	case n < 24:
		return string([]byte{kind<<5 | byte(n)})
	case n < 1<<8:
		return string([]byte{kind<<5 | 24, byte(n)})
	}
	return string(binary.BigEndian.AppendUint16([]byte{kind<<5 | 25}, uint16(n)))
}

func byteString(s string) string { return head(2, len(s)) + s }

// numbers is an array of the bytes of s, which is how AWS's tools write them.
func numbers(s string) string {
	out := head(4, len(s))
	for _, b := range []byte(s) {
		out += head(0, int(b))
	}
	return out
}

const payloadStart = "\xa2\x6eregister_index\x00\x6eregister_value"

func payloadOf(pcr0 string) string { return payloadStart + numbers(pcr0) }

// sign makes r‖s over a Sig_structure.
func (s signer) sign(t testing.TB, payload string) string {
	t.Helper()
	h := s.hash.New()
	h.Write([]byte("\x84\x6aSignature1" + s.protected + "\x40" + byteString(payload)))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	half := (s.key.Params().BitSize + 7) / 8
	out := make([]byte, 2*half)
	r.FillBytes(out[:half])
	v.FillBytes(out[half:])
	return string(out)
}

// message is a COSE_Sign1 over a payload.
func (s signer) message(t testing.TB, payload string) string {
	t.Helper()
	return "\x84" + s.protected + "\xa0" + byteString(payload) + byteString(s.sign(t, payload))
}

func entry(certificate, message string) string {
	return "\xa2\x73signing_certificate" + numbers(certificate) + "\x69signature" + numbers(message)
}

// section is a whole signature section over PCR0.
func (s signer) section(t testing.TB, pcr0 string) string {
	t.Helper()
	return "\x81" + entry(s.pem(), s.message(t, payloadOf(pcr0)))
}

// signedWith is the good file with a signature section at its end.
func signedWith(body string) []byte {
	f := good()
	f.sections = append(f.sections, section{signature, body})
	return f.bytes()
}

// pcr0OfGood is the register that a signature must be over.
func pcr0OfGood(t testing.TB) string {
	t.Helper()
	p := pcr(t, pcrEverything)
	return string(p[:])
}

// signatureOffset is where the body of the section of signedWith begins.
func signatureOffset() int64 { return int64(len(good().bytes())) + 12 }

func parseSigned(body string) (*eif.File, error) { return parse(signedWith(body)) }
