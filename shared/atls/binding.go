package atls

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// Purpose is what a document was made for. A document for one purpose is worth nothing for another.
type Purpose string

// The purposes.
const (
	PurposeCertificate Purpose = "certificate" // stands in a TLS certificate
	PurposeProof       Purpose = "proof"       // answers one connection's challenge
	PurposeKMS         Purpose = "kms"         // lets KMS encrypt to the document's public key
)

// Bounds of a binding, in bytes.
const (
	// MaxBinding is what every verifier of documents takes as user_data; AWS's own texts disagree above it.
	MaxBinding = 512
	maxBuild   = 128
)

// bindingVersion begins every binding. A change of meaning needs a new one.
const bindingVersion = "containment-chamber binding 1"

// Binding is what the enclave says in the user_data of a document about the key, the connection and the configuration that it uses. With
// the document's signature it becomes a statement of the measured program.
type Binding struct {
	Purpose Purpose
	// SPKI is SHA-256 over the DER SubjectPublicKeyInfo of the TLS key.
	SPKI [32]byte
	// Config is the digest of the measured configuration, SHA-384.
	Config [48]byte
	// Build is the program's version, at most 128 bytes of UTF-8; it may be empty.
	Build string
	// Exporter is what [Exporter] returns for the connection that a proof is for. It is zero for other purposes, and only for these.
	Exporter [32]byte
}

// encodedBinding is a CBOR map with the keys 0 to 4, and 5 in proofs alone, in deterministic encoding (RFC 8949, section 4.2.1).
type encodedBinding struct {
	Version  string   `cbor:"0,keyasint"`
	Purpose  string   `cbor:"1,keyasint"`
	SPKI     [32]byte `cbor:"2,keyasint"`
	Config   [48]byte `cbor:"3,keyasint"`
	Build    string   `cbor:"4,keyasint"`
	Exporter []byte   `cbor:"5,keyasint,omitempty"`
}

// Marshal encodes the binding in at most [MaxBinding] bytes. Equal bindings have equal encodings.
func (b Binding) Marshal() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, fmt.Errorf("binding: %w", err)
	}
	e := encodedBinding{Version: bindingVersion, Purpose: string(b.Purpose), SPKI: b.SPKI, Config: b.Config, Build: b.Build}
	if b.Purpose == PurposeProof {
		e.Exporter = b.Exporter[:]
	}
	out, err := mode.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("binding: %w", err)
	}
	return out, nil
}

// ParseBinding reads what [Binding.Marshal] wrote, and nothing else: one binding has one encoding.
func ParseBinding(in []byte) (Binding, error) {
	if len(in) > MaxBinding {
		return Binding{}, fmt.Errorf("binding: %d bytes, at most %d are allowed", len(in), MaxBinding)
	}
	var e encodedBinding
	if err := cbor.Unmarshal(in, &e); err != nil {
		return Binding{}, fmt.Errorf("binding: %w", err)
	}
	if e.Version != bindingVersion {
		return Binding{}, fmt.Errorf("binding: version is %.40q, want %q", e.Version, bindingVersion)
	}
	b := Binding{Purpose: Purpose(e.Purpose), SPKI: e.SPKI, Config: e.Config, Build: e.Build}
	copy(b.Exporter[:], e.Exporter)
	again, err := b.Marshal()
	if err != nil {
		return Binding{}, err
	}
	if !bytes.Equal(in, again) {
		return Binding{}, errors.New("binding: not in its one encoding")
	}
	return b, nil
}

func (b Binding) check() error {
	switch b.Purpose {
	case PurposeCertificate, PurposeProof, PurposeKMS:
	default:
		return fmt.Errorf("binding: purpose %.40q is unknown", string(b.Purpose))
	}
	if proof := b.Purpose == PurposeProof; proof != (b.Exporter != [32]byte{}) {
		if proof {
			return errors.New("binding: a proof without an exporter binds to no connection")
		}
		return fmt.Errorf("binding: an exporter does not belong into one of purpose %q", string(b.Purpose))
	}
	if len(b.Build) > maxBuild {
		return fmt.Errorf("binding: build of %d bytes, at most %d are allowed", len(b.Build), maxBuild)
	}
	if !utf8.ValidString(b.Build) {
		return errors.New("binding: build is not UTF-8")
	}
	return nil
}
