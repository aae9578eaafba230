package issuer

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// Fields are all fields of a payload, as they are encoded. Nothing checks them: a test may lie.
type Fields struct {
	ModuleID    string
	Digest      string
	Timestamp   uint64 // milliseconds since 1970
	PCRs        map[int]attestation.PCR
	Certificate []byte
	CABundle    [][]byte
	PublicKey   []byte // nil is encoded as null, as in the two below
	UserData    []byte
	Nonce       []byte
}

// The kinds of CBOR items (RFC 8949, section 3.1), shifted to where they stand.
const (
	kindUint  = 0 << 5
	kindBytes = 2 << 5
	kindText  = 3 << 5
	kindArray = 4 << 5
	kindMap   = 5 << 5
	null      = 0xf6
)

// Encode writes the payload as AWS does: all nine fields in this order, with definite lengths.
func Encode(f Fields) []byte {
	b := appendHead(nil, kindMap, 9)
	b = appendText(appendText(b, "module_id"), f.ModuleID)
	b = appendText(appendText(b, "digest"), f.Digest)
	b = appendHead(appendText(b, "timestamp"), kindUint, f.Timestamp)
	b = appendHead(appendText(b, "pcrs"), kindMap, uint64(len(f.PCRs)))
	for _, index := range slices.Sorted(maps.Keys(f.PCRs)) {
		value := f.PCRs[index]
		b = appendBytes(appendHead(b, kindUint, uint64(index)), value[:])
	}
	b = appendBytes(appendText(b, "certificate"), f.Certificate)
	b = appendHead(appendText(b, "cabundle"), kindArray, uint64(len(f.CABundle)))
	for _, cert := range f.CABundle {
		b = appendBytes(b, cert)
	}
	b = appendOptional(appendText(b, "public_key"), f.PublicKey)
	b = appendOptional(appendText(b, "user_data"), f.UserData)
	return appendOptional(appendText(b, "nonce"), f.Nonce)
}

// Sign makes an untagged COSE_Sign1 with ES384 around any payload (RFC 9052, section 4.2), whether the
// key is on P-384, as it must, or not.
func Sign(key *ecdsa.PrivateKey, payload []byte) ([]byte, error) {
	const protected = "\xa1\x01\x38\x22" // {1: -35}, which is ES384
	signed := appendText(appendHead(nil, kindArray, 4), "Signature1")
	signed = appendBytes(appendBytes(signed, []byte(protected)), nil)
	digest := sha512.Sum384(appendBytes(signed, payload))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return nil, fmt.Errorf("sign attestation document: %w", err)
	}
	size := (key.Params().BitSize + 7) / 8
	signature := make([]byte, 2*size)
	r.FillBytes(signature[:size])
	s.FillBytes(signature[size:])
	b := appendBytes(appendHead(nil, kindArray, 4), []byte(protected))
	b = appendHead(b, kindMap, 0)
	return appendBytes(appendBytes(b, payload), signature), nil
}

func appendHead(b []byte, kind byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, kind|byte(n))
	case n < 1<<8:
		return append(b, kind|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, kind|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, kind|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, kind|27), n)
}

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, kindText, uint64(len(s))), s...)
}

func appendBytes(b, s []byte) []byte { return append(appendHead(b, kindBytes, uint64(len(s))), s...) }

func appendOptional(b, s []byte) []byte {
	if s == nil {
		return append(b, null)
	}
	return appendBytes(b, s)
}
