package attestation_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

func encodePEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestParseRoot(t *testing.T) {
	rootOf := func(h hostile) []byte {
		_, root := h.make(t)
		return root.Raw
	}
	good := encodePEM("CERTIFICATE", rootOf(hostile{}))
	expiredRoot := encodePEM("CERTIFICATE", rootOf(hostile{cert: at(root, expired)})) // its time is judged when it is used
	real := realDocument(t)
	for name, test := range map[string]struct{ text, words string }{
		"good":         {good, ""},
		"blank lines":  {"\n" + good + "\n \n", ""},
		"expired":      {expiredRoot, ""},
		"empty":        {"", "no PEM block"},
		"DER":          {string(rootOf(hostile{})), "no PEM block"},
		"key":          {encodePEM("PRIVATE KEY", []byte{1}), `"PRIVATE KEY", want CERTIFICATE`},
		"two":          {good + good, "more follows"},
		"garbage":      {encodePEM("CERTIFICATE", []byte{1}), "x509:"},
		"P-256":        {encodePEM("CERTIFICATE", rootOf(hostile{curve: map[int]elliptic.Curve{root: elliptic.P256()}})), "want P-384"},
		"no authority": {encodePEM("CERTIFICATE", real.Certificate), "is no certificate authority"},
		"no key usage": {
			encodePEM("CERTIFICATE", rootOf(hostile{cert: at(root, func(c *x509.Certificate) { c.KeyUsage = 0 })})),
			"no key usage keyCertSign",
		},
		"intermediate": {encodePEM("CERTIFICATE", real.CABundle[1]), "verification"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := attestation.ParseRoot([]byte(test.text))
			if test.words == "" {
				if err != nil || c == nil {
					t.Error(err)
				}
				return
			}
			if err == nil || c != nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v, %v, want %q", c != nil, err, test.words)
			}
		})
	}
}

func realDocument(t *testing.T) *attestation.Document {
	t.Helper()
	doc, err := attestation.Verify(reals[0].read(t), attestation.Options{Now: reals[0].time()})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}
