package eif_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

// FuzzParse holds Parse to its word: it never panics, an error is an *Error and comes without a file, and what it accepts has the
// registers that a second reading gives, one that believes section headers alone. The checksum is made right before, or fuzzing would never get past it.
func FuzzParse(f *testing.F) {
	images, err := filepath.Glob(filepath.Join("testdata", "*.eif"))
	if err != nil || len(images) == 0 {
		f.Fatalf("no image in testdata, %v", err)
	}
	for _, name := range images {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	s := newSigner(f, es256, elliptic.P256(), crypto.SHA256)
	f.Add(good().bytes())
	f.Add(signedWith(s.section(f, pcr0OfGood(f))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = checksummed(raw)
		parsed, err := parse(raw)
		if err != nil {
			if _, ok := err.(*eif.Error); !ok || parsed != nil { //nolint:errorlint // exactly this type
				t.Errorf("file %v with error %T %v", parsed != nil, err, err)
			}
			return
		}
		for i, want := range registersOf(raw) {
			if parsed.PCRs[i] != want {
				t.Errorf("PCR%d is %v, want %v", i, parsed.PCRs[i], want)
			}
		}
		if parsed.Describe().String() == "" {
			t.Error("no description")
		}
		if parsed.Version == 4 {
			var out bytes.Buffer
			if err := eif.Write(&out, parsed.Image); err != nil {
				t.Fatal(err)
			}
			if again := mustParse(t, out.Bytes()); again.PCRs[0] != parsed.PCRs[0] || !bytes.Equal(again.Metadata, parsed.Metadata) {
				t.Error("written again, it is another image")
			}
		}
	})
}

// registersOf walks from one section header to the next, as AWS's reader does.
func registersOf(raw []byte) attestation.Measurements {
	var all, boot, app []byte
	ramdisks := 0
	for rest := raw[548:]; len(rest) >= 12; {
		kind, size := binary.BigEndian.Uint16(rest), binary.BigEndian.Uint64(rest[4:])
		body := rest[12 : 12+size]
		rest = rest[12+size:]
		if kind == ramdisk {
			ramdisks++
		}
		if kind == signature || kind == metadata {
			continue
		}
		all = append(all, body...)
		if ramdisks < 2 {
			boot = append(boot, body...)
		} else {
			app = append(app, body...)
		}
	}
	out := attestation.Measurements{}
	for i, data := range [][]byte{all, boot, app} {
		inner := sha512.Sum384(data)
		out[i] = sha512.Sum384(append(make([]byte, 48), inner[:]...))
	}
	return out
}

// FuzzSignature gives signature sections to an image that they may be over.
func FuzzSignature(f *testing.F) {
	s := newSigner(f, es384, elliptic.P384(), crypto.SHA384)
	whole := s.section(f, pcr0OfGood(f))
	f.Add([]byte(whole))
	f.Add([]byte("\x81" + entry(s.pem(), "\xd2"+s.message(f, payloadOf(pcr0OfGood(f))))))
	r := rand.New(rand.NewPCG(1, 2))
	for range 16 {
		f.Add([]byte(whole)[:r.IntN(len(whole))])
	}
	f.Fuzz(func(t *testing.T, section []byte) {
		parsed, err := parse(signedWith(string(section)))
		if err == nil {
			if parsed.Signer == nil || parsed.PCRs[8] != eif.PCR8(parsed.Signer.Certificate.Raw) {
				t.Error("accepted without its signer")
			}
			return
		}
		if _, ok := errors.AsType[*eif.Error](err); !ok || parsed != nil {
			t.Errorf("file %v with error %T %v", parsed != nil, err, err)
		}
	})
}
