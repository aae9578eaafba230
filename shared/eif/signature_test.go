package eif_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

func TestSigned(t *testing.T) {
	for name, s := range signers(t) {
		t.Run(name, func(t *testing.T) {
			pcr0 := pcr0OfGood(t)
			inner := sha512.Sum384(s.der)
			want := attestation.Measurements{
				0: pcr(t, pcrEverything), 1: pcr(t, pcrKernelBoot), 2: pcr(t, pcrApp),
				8: sha512.Sum384(append(make([]byte, 48), inner[:]...)),
			}
			body := s.section(t, pcr0)
			f := mustParse(t, signedWith(body))
			if diff := cmp.Diff(want, f.PCRs); diff != "" {
				t.Error(diff)
			}
			if f.Signer == nil || f.Signer.Algorithm != name || string(f.Signer.Certificate.Raw) != string(s.der) {
				t.Errorf("got signer %+v", f.Signer)
			}

			tagged := "\x81" + entry(s.pem(), "\xd2"+s.message(t, payloadOf(pcr0)))
			mustParse(t, signedWith(tagged))
			commented := "\x81" + entry("Certificate:\n"+s.pem()+"the end\n", s.message(t, payloadOf(pcr0)))
			mustParse(t, signedWith(commented))

			early := good()
			early.sections = append([]section{{signature, body}}, early.sections...)
			if f := mustParse(t, early.bytes()); f.Signer == nil || f.PCRs[8] != want[8] {
				t.Error("the signature is not seen at the beginning of the file")
			}
		})
	}
}

// TestHighS: signatures are not normalised.
func TestHighS(t *testing.T) {
	s := newSigner(t, es384, elliptic.P384(), crypto.SHA384)
	payload := payloadOf(pcr0OfGood(t))
	sum := s.sign(t, payload)
	other := new(big.Int).Sub(s.key.Params().N, new(big.Int).SetBytes([]byte(sum[48:])))
	for _, v := range []string{sum[48:], string(other.FillBytes(make([]byte, 48)))} {
		mustParse(t, signedWith("\x81"+entry(s.pem(), "\x84"+es384+"\xa0"+byteString(payload)+byteString(sum[:48]+v))))
	}
}

func TestBadSignature(t *testing.T) {
	s := newSigner(t, es384, elliptic.P384(), crypto.SHA384)
	stranger := newSigner(t, es384, elliptic.P384(), crypto.SHA384)
	small := newSigner(t, es256, elliptic.P256(), crypto.SHA256)
	edwards, edwardsKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pcr0 := pcr0OfGood(t)
	good, other := s.message(t, payloadOf(pcr0)), strings.Repeat("\x01", 48)
	signed := func(protected, unprotected, payload, sum string) string {
		return "\x84" + protected + unprotected + payload + sum
	}
	payload := byteString(payloadOf(pcr0))
	sum := s.sign(t, payloadOf(pcr0))
	zero, order := strings.Repeat("\x00", 48), string(elliptic.P384().Params().N.Bytes())
	with := func(certificate, message string) string { return "\x81" + entry(certificate, message) }

	for _, c := range []struct{ name, body, words string }{
		{"of another image", s.section(t, other), "it is over PCR0 " + strings.Repeat("01", 48) + ", the image has " + pcrEverything},
		{"by another key", with(s.pem(), stranger.message(t, payloadOf(pcr0))), "not by the certificate's key"},
		{"certificate of another", with(stranger.pem(), good), "not by the certificate's key"},
		{"zero r", with(s.pem(), signed(es384, "\xa0", payload, byteString(zero+sum[48:]))), "not by the certificate's key"},
		{"zero s", with(s.pem(), signed(es384, "\xa0", payload, byteString(sum[:48]+zero))), "not by the certificate's key"},
		{"r is the order", with(s.pem(), signed(es384, "\xa0", payload, byteString(order+sum[48:]))), "not by the certificate's key"},
		{"short signature", with(s.pem(), signed(es384, "\xa0", payload, byteString(sum[:95]))), "95 bytes, want 96 for ES384"},
		{"no signature", with(s.pem(), signed(es384, "\xa0", payload, "\x40")), "0 bytes, want 96"},
		{"algorithm of another curve", with(small.pem(), good), "ES384 needs a certificate with a key of P-384, this one has one of P-256"},
		{"claims another algorithm", with(s.pem(), signed(es256, "\xa0", payload, byteString(sum))), "ES256 needs a certificate with a key of P-256"},
		{"other kind of key", with(pemBlock("CERTIFICATE", certificate(t, edwards, edwardsKey)), good), "this one has Ed25519"},

		{"no algorithm", with(s.pem(), signed("\x41\xa0", "\xa0", payload, byteString(sum))), "COSE_Sign1: byte 1: the protected header"},
		{"algorithm none", with(s.pem(), signed("\x43\xa1\x01\x20", "\xa0", payload, byteString(sum))), "the protected header"},
		{"second protected header", with(s.pem(), signed("\x47\xa2\x01\x38\x22\x03\x18\x2a", "\xa0", payload, byteString(sum))), "the protected header"},
		{"unprotected header", with(s.pem(), signed(es384, "\xa1\x04\x41\x00", payload, byteString(sum))), "byte 6: a1, want no unprotected headers"},
		{"no payload", with(s.pem(), signed(es384, "\xa0", "\xf6", byteString(sum))), "0xf6 does not begin the payload"},
		{"chunked payload", with(s.pem(), signed(es384, "\xa0", "\x5f"+payload+"\xff", byteString(sum))), "no definite length"},
		{"payload in eight bytes of length", with(s.pem(), signed(es384, "\xa0", "\x5b\x00", byteString(sum))), "too long"},
		{"payload length not in its shortest form", with(s.pem(), signed(es384, "\xa0", "\x59\x00\x10", byteString(sum))), "number 16 in 2 bytes"},
		{"payload beyond the end", with(s.pem(), signed(es384, "\xa0", "\x59\xff\xff", "")), "65535 bytes expected, 0 left"},
		{"ends after the header", with(s.pem(), "\x84"), "COSE_Sign1: byte 1"},
		{"ends in a length", with(s.pem(), signed(es384, "\xa0", "\x59\x00", "")), "2 bytes expected, 1 left"},
		{"ends after the payload", with(s.pem(), signed(es384, "\xa0", payload, "")), "1 bytes expected, 0 left"},
		{"three elements", with(s.pem(), "\x83"+good[1:]), "want an array of four"},
		{"trailing byte in the message", with(s.pem(), good+"\x00"), "1 trailing bytes"},
		{"two tags", with(s.pem(), "\xd2\xd2"+good), "want an array of four"},
		{"empty message", with(s.pem(), ""), "COSE_Sign1: byte 0"},

		{"register 1", with(s.pem(), s.message(t, "\xa2\x6eregister_index\x01\x6eregister_value"+numbers(pcr0))), "payload: byte 0"},
		{"register value of 47 bytes", with(s.pem(), s.message(t, payloadOf(pcr0[:47]))), "register_value of 47 bytes, want 48"},
		{"register value as a byte string", with(s.pem(), s.message(t, payloadStart+byteString(pcr0))), "0x58 does not begin register_value"},
		{"empty payload", with(s.pem(), s.message(t, "")), "payload: byte 0"},
		{"trailing byte in the payload", with(s.pem(), s.message(t, payloadOf(pcr0)+"\x00")), "1 trailing bytes"},

		{"no entry", "\x80", "byte 0: 80, want one entry"},
		{"two entries", "\x82" + entry(s.pem(), good) + entry(s.pem(), good), "want one entry"},
		{"other key first", "\x81\xa2\x69signature" + numbers(good) + "\x73signing_certificate" + numbers(s.pem()), "want one entry"},
		{"second key is another", "\x81\xa2\x73signing_certificate" + numbers(s.pem()) + "\x69Signature" + numbers(good), "want the key signature"},
		{"certificate as a byte string", "\x81\xa2\x73signing_certificate" + byteString(s.pem()), "0x59 does not begin signing_certificate"},
		{"array of indefinite length", "\x81\xa2\x73signing_certificate\x9f\x00\xff", "no definite length"},
		{"array longer than the section", "\x81\xa2\x73signing_certificate\x99\xff\xff\x00", "65535 numbers, 1 bytes left"},
		{"array of 4 billion", "\x81\xa2\x73signing_certificate\x9a\xff\xff\xff\xff\x00", "too long"},
		{"number above 255", "\x81\xa2\x73signing_certificate\x83\x19\x01\x00", "256 in signing_certificate"},
		{"number not in its shortest form", "\x81\xa2\x73signing_certificate\x82\x18\x17", "number 23 in 1 bytes"},
		{"negative number", "\x81\xa2\x73signing_certificate\x81\x20", "0x20 does not begin a number"},
		{"null", "\x81\xa2\x73signing_certificate\x81\xf6", "0xf6 does not begin a number"},
		{"section ends", "\x81\xa2\x73signing_certificate", "1 bytes expected, 0 left"},
		{"trailing byte in the section", with(s.pem(), good) + "\x00", "1 trailing bytes"},

		{"no certificate", with("", good), "certificate: 0 PEM blocks, want 1"},
		{"DER", with(string(s.der), good), "0 PEM blocks, want 1"},
		{"two certificates", with(s.pem()+stranger.pem(), good), "2 PEM blocks, want 1"},
		{"broken block before the certificate", with("-----BEGIN CERTIFICATE-----\n"+s.pem(), good), "2 PEM blocks, want 1"},
		{"broken block", with("-----BEGIN CERTIFICATE-----\nAA\n", good), "its PEM block is broken"},
		{"other block", with(pemBlock("PUBLIC KEY", s.der), good), `PEM block "PUBLIC KEY" with 0 headers`},
		{"block with headers", with(strings.Replace(s.pem(), "-----\n", "-----\nA: b\n\n", 1), good), "with 1 headers"},
		{"broken certificate", with(pemBlock("CERTIFICATE", s.der[:len(s.der)-1]), good), "certificate: x509"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := parseSigned(c.body)
			refused(t, f, err, "signature", signatureOffset(), c.words)
		})
	}
}

// TestSignatureFlipped changes one bit of one byte of a signature section at a time. What does not matter to PEM or is in the
// certificate beside its key may still be accepted: then PCR8 tells, and image and key are the same.
func TestSignatureFlipped(t *testing.T) {
	s := newSigner(t, es256, elliptic.P256(), crypto.SHA256)
	body := s.section(t, pcr0OfGood(t))
	want := mustParse(t, signedWith(body)).PCRs
	for i := range len(body) {
		changed := []byte(body)
		changed[i] ^= 1 << (i % 8)
		f, err := parseSigned(string(changed))
		if err == nil && (f.PCRs[0] != want[0] || !f.Signer.Certificate.PublicKey.(*ecdsa.PublicKey).Equal(&s.key.PublicKey)) {
			t.Errorf("byte %d changed: accepted with %v", i, f.PCRs)
		}
	}
}
