package attestation

import (
	"reflect"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
)

// referencePayload is the payload as package cbor reads it.
type referencePayload struct {
	ModuleID    string            `cbor:"module_id"`
	Digest      string            `cbor:"digest"`
	Timestamp   uint64            `cbor:"timestamp"`
	PCRs        map[uint64][]byte `cbor:"pcrs"`
	Certificate []byte            `cbor:"certificate"`
	CABundle    [][]byte          `cbor:"cabundle"`
	PublicKey   []byte            `cbor:"public_key"`
	UserData    []byte            `cbor:"user_data"`
	Nonce       []byte            `cbor:"nonce"`
}

func (p referencePayload) document() *Document {
	d := &Document{
		ModuleID: p.ModuleID, Timestamp: time.UnixMilli(int64(p.Timestamp)).UTC(), PCRs: map[int]PCR{}, Certificate: p.Certificate, CABundle: p.CABundle,
		PublicKey: p.PublicKey, UserData: p.UserData, Nonce: p.Nonce,
	}
	for index, value := range p.PCRs {
		d.PCRs[int(index)] = PCR(value)
	}
	return d
}

// agreeOnPayload fails if we accept a payload that the reference refuses or reads differently.
func agreeOnPayload(t *testing.T, in []byte) {
	t.Helper()
	doc, err := parsePayload(in)
	if err != nil {
		if doc != nil {
			t.Errorf("%x: error %v with a document", in, err)
		}
		return
	}
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, TagsMd: cbor.TagsForbidden, FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		MaxNestedLevels: maxNesting, MaxArrayElements: maxArray, MaxMapPairs: maxPairs,
	}.DecMode()
	if err != nil {
		t.Fatal(err)
	}
	var p referencePayload
	if err := mode.Unmarshal(in, &p); err != nil {
		t.Fatalf("%x: accepted, but package cbor says %v", in, err)
	}
	want := p.document()
	want.Unknown = doc.Unknown
	if p.Digest != "SHA384" || !reflect.DeepEqual(want, doc) {
		t.Errorf("%x: digest %q, read differently: %s", in, p.Digest, cmp.Diff(want, doc))
	}
}

func TestPayloadAgreesWithReference(t *testing.T) {
	for _, p := range payloads(t) {
		if _, err := parsePayload(p); err != nil {
			t.Fatal(err)
		}
		agreeOnPayload(t, p)
	}
}

// small is a payload with everything in it, short enough for the fuzzer.
func small() []byte {
	pcr := "\x58\x30" + string(make([]byte, PCRSize))
	return []byte("\xa9\x69module_id\x61i\x66digest\x66SHA384\x69timestamp\x18\x20\x64pcrs\xa2\x00" + pcr + "\x10" + pcr +
		"\x6bcertificate\x41\x01\x68cabundle\x82\x41\x02\x41\x03\x6apublic_key\x41\x04\x69user_data\x40\x65nonce\xf6")
}

func FuzzPayload(f *testing.F) {
	good := small()
	if _, err := parsePayload(good); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(append(append([]byte{0xbf}, good[1:]...), 0xff))
	f.Add(append(append([]byte{0xab}, good[1:]...), "\x64PCRS\xa0\x61x\x82\x20\x43\x01\x02\x03"...))
	f.Fuzz(agreeOnPayload)
}
