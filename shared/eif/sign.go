package eif

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// SigningKey signs images with ES384, which is what AWS recommends.
type SigningKey struct {
	algorithm
	key *ecdsa.PrivateKey
	// Certificate names the key. It is what PCR8 is computed from.
	Certificate *x509.Certificate
}

// NewSigningKey takes a certificate and its private key, each one PEM block: CERTIFICATE, and PRIVATE KEY (PKCS #8) or EC PRIVATE KEY
// (SEC 1), of the curve P-384.
func NewSigningKey(certificate, key []byte) (*SigningKey, error) {
	parsed, err := parseCertificate(certificate)
	if err != nil {
		return nil, fmt.Errorf("signing certificate: %w", err)
	}
	private, err := parseKey(key)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	s := &SigningKey{algorithm: algorithms()[es384], key: private, Certificate: parsed}
	switch {
	case private.Curve != s.curve:
		return nil, fmt.Errorf("private key: of %s, want %s", private.Params().Name, s.curve.Params().Name)
	case !private.PublicKey.Equal(parsed.PublicKey):
		return nil, errors.New("signing certificate: it is of another key than the private key")
	}
	return s, nil
}

// parseKey reads PEM. OpenSSL writes the parameters of the curve before a key, as a block of its own.
func parseKey(text []byte) (*ecdsa.PrivateKey, error) {
	block, rest := pem.Decode(text)
	if block != nil && block.Type == "EC PARAMETERS" {
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("something follows its PEM block")
	}
	switch block.Type {
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "PRIVATE KEY":
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		key, ok := parsed.(*ecdsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("a %T, want one of an elliptic curve", parsed)
		}
		return key, nil
	}
	return nil, fmt.Errorf("PEM block %.40q, want PRIVATE KEY or EC PRIVATE KEY, not encrypted", block.Type)
}

// sign adds a signature section over what the parts measure to, and says what that is.
func (s *SigningKey) sign(parts []part) ([]part, *attestation.PCR, error) {
	pcr0, err := pcr0Of(parts)
	if err != nil {
		return nil, nil, err
	}
	body, err := s.section(pcr0)
	if err != nil {
		return nil, nil, fmt.Errorf("sign: %w", err)
	}
	// A device that holds the key, or a fault while it was used, is found here and not in the field.
	if _, err := verifySignature(body, pcr0); err != nil {
		return nil, nil, fmt.Errorf("sign: the signature that was made does not hold: %w", err)
	}
	return append(parts, part{Section{Type: SignatureSection}, io.NewSectionReader(bytes.NewReader(body), 0, int64(len(body)))}), &pcr0, nil
}

// pcr0Of is what the parts measure to when they are read now.
func pcr0Of(parts []part) (attestation.PCR, error) {
	whole, chunk := sha512.New384(), make([]byte, chunkSize)
	for i, p := range parts {
		if !p.Type.measured() {
			continue
		}
		err := eachChunk(p.body, chunk, 0, p.body.Size(), func(some []byte) error {
			whole.Write(some)
			return nil
		})
		if err != nil {
			return attestation.PCR{}, fmt.Errorf("section %d (%v): %w", i, p.Type, err)
		}
	}
	return extend(whole.Sum(nil)), nil
}

// section is the body of a signature section: the certificate, and a COSE_Sign1 over the register.
func (s *SigningKey) section(pcr0 attestation.PCR) ([]byte, error) {
	payload := appendArray([]byte(payloadHead), pcr0[:])
	item := append(appendHead(nil, cborBytes, len(payload)), payload...)
	signature, err := s.signItem(item)
	if err != nil {
		return nil, err
	}
	message := []byte(signHead + s.protected + unprotected)
	message = append(message, item...)
	message = appendHead(message, cborBytes, len(signature))
	message = append(message, signature...)

	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate.Raw})
	return appendArray(append(appendArray([]byte(sectionHead), text), signatureKey...), message), nil
}

// signItem signs the Sig_structure of a payload, and gives r and s side by side (RFC 9053, section 2.1).
func (s *SigningKey) signItem(item []byte) ([]byte, error) {
	digest := s.hash()
	digest.Write([]byte(structureHead + s.protected + noExternalData))
	digest.Write(item)
	der, err := s.key.Sign(nil, digest.Sum(nil), crypto.SHA384) // without random numbers, the nonce is that of RFC 6979
	if err != nil {
		return nil, err
	}
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &pair); err != nil {
		return nil, err
	}
	half := (s.curve.Params().BitSize + 7) / 8
	out := make([]byte, 2*half)
	pair.R.FillBytes(out[:half])
	pair.S.FillBytes(out[half:])
	return out, nil
}

// appendHead appends the head of an item in its shortest form; n is below 65536.
func appendHead(out []byte, kind byte, n int) []byte {
	switch {
	case n < 24:
		return append(out, kind<<5|byte(n))
	case n < 1<<8:
		return append(out, kind<<5|24, byte(n))
	}
	return append(out, kind<<5|25, byte(n>>8), byte(n))
}

// appendArray appends bytes as an array of numbers, which is how AWS's tools write them.
func appendArray(out, b []byte) []byte {
	out = appendHead(out, cborArray, len(b))
	for _, number := range b {
		out = appendHead(out, 0, int(number))
	}
	return out
}
