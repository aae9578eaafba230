package attestation_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

var placeNames = []string{"root", "regional", "zonal", "instance", "leaf"}

// TestCurves puts a key on every other curve at every place of the chain.
func TestCurves(t *testing.T) {
	for place := root; place <= leaf; place++ {
		for name, curve := range map[string]elliptic.Curve{"P-224": elliptic.P224(), "P-256": elliptic.P256(), "P-521": elliptic.P521()} {
			t.Run(placeNames[place]+" "+name, func(t *testing.T) {
				doc, err := verify(t, hostile{curve: map[int]elliptic.Curve{place: curve}}, attestation.Options{})
				refusedAt(t, doc, err, attestation.StepChain, name+" key, want P-384")
			})
		}
	}
}

func TestRSAInBundle(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, honest(instance), honest(instance), key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := verify(t, hostile{fields: func(f *issuer.Fields) { f.CABundle = append(f.CABundle, der) }}, attestation.Options{})
	refusedAt(t, doc, err, attestation.StepChain, "cabundle[4]: has a RSA key, want P-384")
}

// TestEveryAuthority breaks each authority of the chain in each way in turn.
func TestEveryAuthority(t *testing.T) {
	noConstraints := func(c *x509.Certificate) {
		c.BasicConstraintsValid, c.IsCA, c.MaxPathLen, c.MaxPathLenZero = false, false, 0, false
	}
	noAuthority := func(c *x509.Certificate) { c.IsCA, c.MaxPathLen, c.MaxPathLenZero = false, 0, false }
	noSigning := func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign }
	tooShort := func(place int) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = instance-place-1, true }
	}
	notYet := func(c *x509.Certificate) { c.NotBefore = now.Add(attestation.Leeway + time.Second) }
	critical := func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 25, 1}, Critical: true, Value: []byte{5, 0}}}
	}
	for place := root; place < leaf; place++ {
		cases := map[string]func(*x509.Certificate){
			"expired": expired, "not yet valid": notYet, "no basic constraints": noConstraints, "no authority": noAuthority, "no keyCertSign": noSigning,
			"unknown critical extension": critical,
		}
		if place < instance { // below the instance's there is none whose number could be too large
			cases["path length too short"] = tooShort(place)
		}
		for name, change := range cases {
			t.Run(placeNames[place]+" "+name, func(t *testing.T) {
				doc, err := verify(t, hostile{cert: at(place, change)}, attestation.Options{})
				refusedAt(t, doc, err, attestation.StepChain, "refused, chain: ")
			})
		}
	}
}

// qemu is a document as the emulated device of QEMU writes it: algorithm -1, a signature of 64 zero bytes, no chain.
func qemu(begin string, signature int) []byte {
	payload := issuer.Encode(issuer.Fields{
		ModuleID: "i-1234-enc5678", Digest: "SHA384", Timestamp: uint64(now.UnixMilli()),
		PCRs: map[int]pcr{0: {1}, 1: {2}, 2: {3}}, Certificate: nil, CABundle: nil,
	})
	out := append([]byte(begin), 0x59, byte(len(payload)>>8), byte(len(payload)))
	out = append(append(out, payload...), 0x58, byte(signature))
	return append(out, make([]byte, signature)...)
}

func TestQEMUDocument(t *testing.T) {
	for name, test := range map[string]struct {
		raw   []byte
		step  attestation.Step
		words string
	}{
		"as it is":               {qemu("\x84\x43\xa1\x01\x20\xa0", 64), attestation.StepDecoding, "begins with 8443a10120"},
		"in an envelope of ours": {qemu("\x84\x44\xa1\x01\x38\x22\xa0", 64), attestation.StepSyntax, "certificate: 0 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, trusted := hostile{}.make(t)
			doc, err := attestation.Verify(test.raw, attestation.Options{Now: now, Roots: []*x509.Certificate{trusted}})
			refusedAt(t, doc, err, test.step, test.words)
		})
	}
}

// TestProtectedHeader changes what is signed beside the payload; each would be read as ES384, or as something else, by a lax decoder.
func TestProtectedHeader(t *testing.T) {
	const good = "\x44\xa1\x01\x38\x22\xa0"
	for name, header := range map[string]string{
		"ES256": "\x43\xa1\x01\x26\xa0", "ES512": "\x44\xa1\x01\x38\x23\xa0", "alg 35": "\x44\xa1\x01\x18\x23\xa0", "none": "\x40\xa0", "empty map": "\x41\xa0\xa0",
		"long form of -35": "\x45\xa1\x01\x39\x00\x22\xa0", "twice": "\x47\xa2\x01\x38\x22\x01\x38\x22\xa0", "more": "\x46\xa2\x01\x38\x22\x04\x40\xa0",
		"indefinite map": "\x45\xbf\x01\x38\x22\xff\xa0", "long form of the length": "\x58\x04\xa1\x01\x38\x22\xa0",
		"chunked": "\x5f\x44\xa1\x01\x38\x22\xff\xa0", "map, not a byte string": "\xa1\x01\x38\x22\xa0",
		"unprotected alg": "\x44\xa1\x01\x38\x22\xa1\x01\x38\x22", "unprotected null": "\x44\xa1\x01\x38\x22\xf6", "unprotected indefinite": "\x44\xa1\x01\x38\x22\xbf\xff",
		"unprotected key id": "\x44\xa1\x01\x38\x22\xa1\x04\x41\x31",
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := verify(t, hostile{raw: func(b []byte) []byte {
				return append([]byte("\x84"+header), b[1+len(good):]...)
			}}, attestation.Options{})
			refusedAt(t, doc, err, attestation.StepDecoding, "envelope: begins with")
		})
	}
}

func TestEncodingsRefused(t *testing.T) {
	payload := func(old, replacement string) hostile { return hostile{payload: replace(t, old, replacement)} }
	for name, test := range map[string]struct {
		h     hostile
		words string
	}{
		"timestamp as float":            {payload("\x69timestamp\x1b", "\x69timestamp\xfb"), "float"},
		"digest's length in two bytes":  {payload("\x66digest\x66", "\x66digest\x78\x06"), "shortest form"},
		"register's index in two bytes": {payload("\x01\x58\x30\x02", "\x18\x01\x58\x30\x02"), "shortest form"},
		"register's length in 3 bytes":  {payload("\x01\x58\x30\x02", "\x01\x59\x00\x30\x02"), "shortest form"},
		"map's length in two bytes":     {payload("\x64pcrs\xa3", "\x64pcrs\xb8\x03"), "shortest form"},
		"bundle's length in two bytes":  {payload("\x68cabundle\x84", "\x68cabundle\x98\x04"), "shortest form"},
		"tagged timestamp":              {payload("\x69timestamp\x1b", "\x69timestamp\xc1\x1b"), "tag not allowed"},
		"tagged register":               {payload("\x01\x58\x30\x02", "\x01\xd8\x40\x58\x30\x02"), "tag not allowed"},
		"tagged payload":                {hostile{payload: func(b []byte) []byte { return append([]byte{0xd9, 0xd9, 0xf7}, b...) }}, "tag not allowed"},
		"duplicate pcrs":                {hostile{payload: with(1, "\x64pcrs\xa1\x00\x40")}, `duplicate key "pcrs"`},
		"duplicate certificate":         {hostile{payload: with(1, "\x6bcertificate\x40")}, `duplicate key "certificate"`},
		"duplicate of an unknown field": {hostile{payload: with(2, "\x61x\xf6\x61x\xf6")}, `duplicate key "x"`},
		"duplicate, nested deeper":      {hostile{payload: with(1, "\x61x\x81\xa2\x61y\x01\x61y\x02")}, `duplicate key "y"`},
		"chunked certificate":           {hostile{payload: with(1, "\x61x\x5f\xff")}, "chunked byte string"},
		"reserved byte of an array":     {hostile{payload: with(1, "\x61x\x9c\xff")}, "cannot begin an item"},
		"reserved byte of a string":     {hostile{payload: with(1, "\x61x\x5c")}, "cannot begin an item"},
		"break in a definite array":     {hostile{payload: with(1, "\x61x\x82\x01\xff")}, "cannot begin an item"},
		"break in a definite map":       {hostile{payload: with(1, "\x61x\xa1\xff")}, "cannot begin an item"},
		"65 fields":                     {hostile{payload: func([]byte) []byte { return append([]byte{0xb8, 65}, pairs(65)...) }}, "map of more than 64"},
		"huge array":                    {hostile{payload: with(1, "\x61x\x9b\xff\xff\xff\xff\xff\xff\xff\xff")}, "0 left"},
		"huge text":                     {hostile{payload: with(1, "\x61x\x7a\xff\xff\xff\xff")}, "bytes expected"},
		"1000 arrays deep":              {hostile{payload: with(1, "\x61x"+string(bytes.Repeat([]byte{0x81}, 1000))+"\x01")}, "nested more than 4 deep"},
		"1000 open maps":                {hostile{payload: with(1, "\x61x"+string(bytes.Repeat([]byte{0xbf, 0x01}, 1000)))}, "nested more than 4 deep"},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := verify(t, test.h, attestation.Options{})
			refusedAt(t, doc, err, attestation.StepDecoding, test.words)
		})
	}
}

// TestTypesRefused puts well-formed values of other types where a decoder that only looked at their bytes would read a document.
func TestTypesRefused(t *testing.T) {
	payload := func(old, replacement string) hostile { return hostile{payload: replace(t, old, replacement)} }
	for name, test := range map[string]struct {
		h     hostile
		words string
	}{
		"negative timestamp":    {payload("\x69timestamp\x1b", "\x69timestamp\x3b"), "timestamp: is of type negative integer, want integer"},
		"registers in an array": {payload("\x64pcrs\xa3", "\x64pcrs\x86"), "pcrs: is of type array, want map"},
		"register as text":      {payload("\x01\x58\x30\x02", "\x01\x78\x30\x02"), "pcrs: register 1 is a text of 48 bytes"},
		"bundle in a map":       {payload("\x68cabundle\x84", "\x68cabundle\xa2"), "cabundle: is of type map, want array"},
		"nonce false":           {payload("\x65nonce\xf6", "\x65nonce\xf4"), "nonce: is of type simple value"},
		"nonce 22":              {payload("\x65nonce\xf6", "\x65nonce\x16"), "nonce: is of type integer"}, // the number of null
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := verify(t, test.h, attestation.Options{})
			refusedAt(t, doc, err, attestation.StepSyntax, test.words)
		})
	}
}

// pairs are n entries of a map with keys of two bytes.
func pairs(n byte) []byte {
	var out []byte
	for i := range n {
		out = append(out, 0x42, 1, i, 0)
	}
	return out
}

// TestShapesAccepted are documents that stricter verifiers than the specification refuse.
func TestShapesAccepted(t *testing.T) {
	for name, test := range map[string]struct {
		h    hostile
		want func(*attestation.Document) bool
	}{
		"one register": {
			hostile{fields: func(f *issuer.Fields) { f.PCRs = map[int]pcr{0: {1}} }},
			func(d *attestation.Document) bool { return len(d.PCRs) == 1 },
		},
		"32 registers": {
			hostile{fields: func(f *issuer.Fields) {
				for i := range 32 {
					f.PCRs[i] = pcr{byte(i)}
				}
			}},
			func(d *attestation.Document) bool { return len(d.PCRs) == 32 && d.PCRs[31] == pcr{31} },
		},
		"locked PCR16 among sixteen": {
			hostile{fields: func(f *issuer.Fields) {
				for i := range 17 {
					f.PCRs[i] = pcr{byte(i)}
				}
			}},
			func(d *attestation.Document) bool { return len(d.PCRs) == 17 && d.PCRs[16] == pcr{16} },
		},
		"indefinite bundle": {
			hostile{payload: func(b []byte) []byte {
				b = bytes.Replace(b, []byte("\x68cabundle\x84"), []byte("\x68cabundle\x9f"), 1)
				return bytes.Replace(b, []byte("\x6apublic_key"), []byte("\xff\x6apublic_key"), 1)
			}},
			func(d *attestation.Document) bool { return len(d.CABundle) == 4 },
		},
		"leaf without basic constraints": {
			hostile{cert: at(leaf, func(c *x509.Certificate) { c.BasicConstraintsValid = false })},
			func(d *attestation.Document) bool { return d.ModuleID != "" },
		},
		"no RSA key": { // a public key is any bytes
			hostile{fields: func(f *issuer.Fields) { f.PublicKey = []byte{0} }},
			func(d *attestation.Document) bool { return len(d.PublicKey) == 1 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := verify(t, test.h, attestation.Options{})
			if err != nil || !test.want(doc) {
				t.Errorf("got %+v, %v", doc, err)
			}
		})
	}
}

// The AWS signature of a document in debug mode is good: only the policy keeps it out, and no policy can let it in.
func TestDebugDocument(t *testing.T) {
	h := hostile{fields: func(f *issuer.Fields) { f.PCRs = map[int]pcr{0: {}, 1: {}, 2: {}, 3: {4}, 8: {}} }}
	doc, err := verify(t, h, attestation.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, named := range []measurements{{0: {}}, {0: {1}}, {0: {}, 1: {}, 2: {}}, maps.Clone(doc.PCRs)} {
		if _, err := one(named).Check(doc, attestation.Claims{}, now); err == nil {
			t.Error(fmt.Sprint("accepted by ", named))
		}
	}
}
