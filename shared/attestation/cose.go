package attestation

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"errors"
	"fmt"
	"math/big"
)

const (
	maxPayload    = 16 << 10
	signatureSize = 96            // r and s of P-384, 48 bytes each
	maxEnvelope   = 1 + 7 + 3 + 2 // tag, envelopeHead, heads of payload and signature

	// MaxDocument is the largest document in bytes.
	MaxDocument = maxEnvelope + maxPayload + signatureSize
)

const (
	// envelopeTag marks a COSE_Sign1 (RFC 9052, section 4.2). AWS leaves it away.
	envelopeTag = "\xd2"
	// envelopeHead is all that may come before the payload: an array of four, the protected header {1: -35}, which is
	// ES384, as a byte string, and an empty unprotected header.
	envelopeHead = "\x84" + protectedHeader + "\xa0"
	// protectedHeader is signed as it stands.
	protectedHeader = "\x44\xa1\x01\x38\x22"
	// signedHead begins the Sig_structure (RFC 9052, section 4.4): its context, the protected header, no external data.
	signedHead = "\x84\x6aSignature1" + protectedHeader + "\x40"
)

// envelope is a COSE_Sign1 whose signature is not verified yet.
type envelope struct {
	signed    []byte // the Sig_structure, which is what the signature is over
	payload   []byte
	signature []byte
}

// openEnvelope copies what it takes from raw.
func openEnvelope(raw []byte) (envelope, error) {
	if len(raw) == 0 || len(raw) > MaxDocument {
		return envelope{}, refuse(StepSize, "document", fmt.Errorf("%d bytes, want 1 to %d", len(raw), MaxDocument))
	}
	in := bytes.TrimPrefix(raw, []byte(envelopeTag))
	rest, ok := bytes.CutPrefix(in, []byte(envelopeHead))
	if !ok {
		return envelope{}, refuse(StepDecoding, "envelope", fmt.Errorf("begins with %x, want %x (untagged COSE_Sign1, ES384, nothing unprotected)",
			in[:min(len(in), len(envelopeHead))], envelopeHead))
	}
	d := &decoder{in: bytes.Clone(rest)}
	payload, err := d.byteString()
	if err != nil {
		return envelope{}, refuse(StepDecoding, "payload", err)
	}
	if n := len(payload); n == 0 || n > maxPayload {
		return envelope{}, refuse(StepSize, "payload", fmt.Errorf("%d bytes, want 1 to %d", n, maxPayload))
	}
	signed := append([]byte(signedHead), d.in[:d.off]...)
	signature, err := d.byteString()
	if err == nil {
		err = d.end()
	}
	if err != nil {
		return envelope{}, refuse(StepDecoding, "signature", err)
	}
	return envelope{signed: signed, payload: payload, signature: signature}, nil
}

// verify takes the key from a certificate whose chain is good. Both forms of s are accepted: the NSM does not normalise.
func (e envelope) verify(signer *ecdsa.PublicKey) error {
	if len(e.signature) != signatureSize {
		return refuse(StepSignature, "signature", fmt.Errorf("%d bytes, want %d", len(e.signature), signatureSize))
	}
	r := new(big.Int).SetBytes(e.signature[:signatureSize/2])
	s := new(big.Int).SetBytes(e.signature[signatureSize/2:])
	order := elliptic.P384().Params().N
	for name, n := range map[string]*big.Int{"r": r, "s": s} {
		if n.Sign() == 0 || n.Cmp(order) >= 0 {
			return refuse(StepSignature, name, fmt.Errorf("%x is not between 1 and the order of P-384", n))
		}
	}
	digest := sha512.Sum384(e.signed)
	if !ecdsa.Verify(signer, digest[:], r, s) {
		return refuse(StepSignature, "signature", errors.New("not by the document's certificate over this payload"))
	}
	return nil
}
