package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// rawDocument is what stands in a document that nobody verified.
type rawDocument struct {
	Algorithm   int64 // of COSE; -35 is ES384
	Unprotected int   // entries in the unprotected header
	Signature   []byte
	rawPayload
	Unknown []string // names of fields beside those of rawPayload
}

type rawPayload struct {
	ModuleID    string          `cbor:"module_id"`
	Digest      string          `cbor:"digest"`
	Timestamp   uint64          `cbor:"timestamp"` // milliseconds since 1970
	PCRs        map[uint][]byte `cbor:"pcrs"`
	Certificate []byte          `cbor:"certificate"`
	CABundle    [][]byte        `cbor:"cabundle"`
	PublicKey   []byte          `cbor:"public_key"`
	UserData    []byte          `cbor:"user_data"`
	Nonce       []byte          `cbor:"nonce"`
}

// parseRaw reads a document as far as it can be read. It is for people's eyes: what decides is attestation.Verify.
func parseRaw(document []byte) (d rawDocument, err error) {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 8, MaxArrayElements: 128, MaxMapPairs: 128,
	}.DecMode()
	if err != nil {
		return d, err
	}
	const tag = 0xd2 // COSE_Sign1, RFC 9052, section 2
	if len(document) > 0 && document[0] == tag {
		document = document[1:]
	}
	var envelope struct {
		_           struct{} `cbor:",toarray"`
		Protected   []byte
		Unprotected map[any]cbor.RawMessage
		Payload     []byte
		Signature   []byte
	}
	if err := mode.Unmarshal(document, &envelope); err != nil {
		return d, fmt.Errorf("no attestation document: %w", err)
	}
	var protected map[int]int64
	if err := mode.Unmarshal(envelope.Protected, &protected); err != nil {
		return d, fmt.Errorf("no attestation document: protected header: %w", err)
	}
	if err := mode.Unmarshal(envelope.Payload, &d.rawPayload); err != nil {
		return d, fmt.Errorf("no attestation document: payload: %w", err)
	}
	var fields map[string]cbor.RawMessage
	if err := mode.Unmarshal(envelope.Payload, &fields); err != nil {
		return d, fmt.Errorf("no attestation document: payload: %w", err)
	}
	for _, known := range []string{"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key", "user_data", "nonce"} {
		delete(fields, known)
	}
	d.Algorithm, d.Unprotected, d.Signature = protected[1], len(envelope.Unprotected), envelope.Signature
	d.Unknown = slices.Sorted(maps.Keys(fields))
	return d, nil
}

// chain are the document's certificates, from the root down to the one that signed it. One that cannot be read is an error in its
// place.
func (d rawDocument) chain() (out []certificateOrError) {
	for _, der := range append(slices.Clone(d.CABundle), d.Certificate) {
		c, err := x509.ParseCertificate(der)
		if len(der) == 0 {
			err = errors.New("missing")
		}
		out = append(out, certificateOrError{c, err})
	}
	return out
}

type certificateOrError struct {
	certificate *x509.Certificate
	err         error
}
