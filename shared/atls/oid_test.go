package atls

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"strings"
	"testing"
)

func TestOIDIsWhatItsCommentSays(t *testing.T) {
	digest := sha256.Sum256([]byte("containment-chamber attestation document"))
	if want := int(binary.BigEndian.Uint32(digest[:]) >> 1); OID()[2] != want {
		t.Errorf("got %d, want %d", OID()[2], want)
	}
}

// Package x509 refuses such certificates before we see them; this holds should it ever stop.
func TestDocument(t *testing.T) {
	good := Extension([]byte("document"))
	critical := good
	critical.Critical = true
	for name, test := range map[string]struct {
		extensions []pkix.Extension
		words      string
	}{
		"none":     {nil, "no attestation document"},
		"two":      {[]pkix.Extension{good, good}, "more than one"},
		"critical": {[]pkix.Extension{critical}, "marked critical"},
	} {
		if document, err := Document(&x509.Certificate{Extensions: test.extensions}); document != nil || err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: got %q, %v", name, document, err)
		}
	}
	if document, err := Document(&x509.Certificate{Extensions: []pkix.Extension{{Id: []int{2, 25, 1}}, good}}); err != nil || string(document) != "document" {
		t.Errorf("got %q, %v", document, err)
	}
}

// FuzzDocument: one document has one value, that of Extension.
func FuzzDocument(f *testing.F) {
	f.Add(Extension([]byte("document")).Value)
	f.Add(Extension(make([]byte, 200)).Value)
	f.Add([]byte{4, 0x81, 1, 0})
	f.Add([]byte{0x24, 0x80, 4, 1, 0, 0, 0})
	f.Add([]byte{4, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, value []byte) {
		document, err := Document(&x509.Certificate{Extensions: []pkix.Extension{{Id: OID(), Value: value}}})
		if err != nil {
			if document != nil {
				t.Errorf("%x: error %v with a document", value, err)
			}
			return
		}
		if again := Extension(document); !bytes.Equal(again.Value, value) {
			t.Errorf("accepted %x, encodes as %x", value, again.Value)
		}
	})
}
