package issuer_test

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

const (
	moduleID = "i-0123456789abcdef0-enc0123456789abcdef"
	region   = "local-dev-1"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newIssuer(t *testing.T) (*issuer.Root, *issuer.Issuer) {
	t.Helper()
	root, err := issuer.NewRoot(start)
	if err != nil {
		t.Fatal(err)
	}
	i, err := issuer.NewIssuer(root, moduleID, region, start)
	if err != nil {
		t.Fatal(err)
	}
	return root, i
}

// issue makes a document at the time now and verifies it then.
func issue(t *testing.T, root *issuer.Root, i *issuer.Issuer, p issuer.Payload, now time.Time) ([]byte, *attestation.Document) {
	t.Helper()
	raw, err := i.Issue(p, now)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := attestation.Verify(raw, attestation.Options{Roots: []*x509.Certificate{root.Certificate}, Now: now, MaxAge: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return raw, doc
}

func TestIssue(t *testing.T) {
	root, i := newIssuer(t)
	p := issuer.Payload{
		PCRs: map[int]attestation.PCR{0: {1}, 2: {3}, 1: {2}, 16: {4}}, PublicKey: []byte{5}, UserData: []byte{}, Nonce: []byte("nonce"),
	}
	raw, doc := issue(t, root, i, p, start)
	got := issuer.Payload{PCRs: doc.PCRs, PublicKey: doc.PublicKey, UserData: doc.UserData, Nonce: doc.Nonce}
	if diff := cmp.Diff(p, got); diff != "" {
		t.Error(diff)
	}
	if doc.ModuleID != moduleID || !doc.Timestamp.Equal(start) || len(doc.CABundle) != 4 {
		t.Errorf("module %q, timestamp %v, %d certificates above", doc.ModuleID, doc.Timestamp, len(doc.CABundle))
	}
	if begin := []byte("\x84\x44\xa1\x01\x38\x22\xa0\x59"); !bytes.HasPrefix(raw, begin) {
		t.Errorf("begins with %x, want %x", raw[:len(begin)], begin)
	}
	if keys := keysOf(t, raw); !slices.Equal(keys, []string{
		"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key", "user_data", "nonce",
	}) {
		t.Errorf("keys in the order %q", keys)
	}
	if _, doc := issue(t, root, i, issuer.Payload{PCRs: p.PCRs}, start); doc.PublicKey != nil || doc.UserData != nil || doc.Nonce != nil {
		t.Error("absent fields are present")
	}
}

// keysOf reads the keys of the payload in their order.
func keysOf(t *testing.T, raw []byte) []string {
	t.Helper()
	var envelope []cbor.RawMessage
	var payload []byte
	if err := cbor.Unmarshal(raw, &envelope); err != nil {
		t.Fatal(err)
	}
	if err := cbor.Unmarshal(envelope[2], &payload); err != nil {
		t.Fatal(err)
	}
	if payload[0] != 0xa9 {
		t.Fatalf("payload begins with %x, want a map of nine", payload[0])
	}
	var keys []string
	for rest := payload[1:]; len(rest) > 0; {
		var key string
		var value cbor.RawMessage
		var err error
		if rest, err = cbor.UnmarshalFirst(rest, &key); err != nil {
			t.Fatal(err)
		}
		if rest, err = cbor.UnmarshalFirst(rest, &value); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

func TestChainIsLikeAWS(t *testing.T) {
	root, i := newIssuer(t)
	_, doc := issue(t, root, i, issuer.Payload{PCRs: map[int]attestation.PCR{0: {}}}, start)
	if !bytes.Equal(doc.CABundle[0], root.Certificate.Raw) {
		t.Error("the bundle does not begin with the root")
	}
	const authority = x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	for place, want := range []struct {
		suffix     string
		begin, end time.Duration // from now
		pathLen    int
		usage      x509.KeyUsage
	}{
		{"." + region + ".aws.nitro-enclaves", -time.Hour, 20 * 24 * time.Hour, 2, authority},
		{".zonal." + region + ".aws.nitro-enclaves", -time.Hour, 134 * time.Hour, 1, authority},
		{"i-0123456789abcdef0." + region + ".aws.nitro-enclaves", 0, 24 * time.Hour, 0, x509.KeyUsageCertSign},
		{moduleID + "." + region + ".aws", -3 * time.Second, 3 * time.Hour, -1, x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment},
	} {
		c, err := x509.ParseCertificate(append(doc.CABundle[1:], doc.Certificate)[place])
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Raw) > 1024 || !strings.HasSuffix(c.Subject.CommonName, want.suffix) || slices.Contains(c.Subject.Organization, "Amazon") ||
			!c.NotBefore.Equal(start.Add(want.begin)) || !c.NotAfter.Equal(start.Add(want.end)) ||
			c.MaxPathLen != want.pathLen || c.IsCA != (want.pathLen >= 0) || c.KeyUsage != want.usage {
			t.Errorf("%d: %d bytes, %v, %v to %v, CA %v, path length %d, usage %b, want %+v",
				place, len(c.Raw), c.Subject, c.NotBefore, c.NotAfter, c.IsCA, c.MaxPathLen, c.KeyUsage, want)
		}
	}
}

// A leaf is kept until a quarter of an hour before its end, so that a new document may have just that left.
func TestRenewal(t *testing.T) {
	root, i := newIssuer(t)
	p := issuer.Payload{PCRs: map[int]attestation.PCR{0: {}}}
	_, first := issue(t, root, i, p, start)
	last := start.Add(3*time.Hour - 15*time.Minute)
	_, kept := issue(t, root, i, p, last)
	if !bytes.Equal(first.Certificate, kept.Certificate) || kept.NotAfter.Sub(last) != 15*time.Minute {
		t.Errorf("at %v another leaf, until %v", last, kept.NotAfter)
	}
	_, renewed := issue(t, root, i, p, last.Add(time.Second))
	if bytes.Equal(first.Certificate, renewed.Certificate) || !cmp.Equal(first.CABundle, renewed.CABundle) {
		t.Error("the leaf, and it alone, should have been replaced")
	}
	// Authorities end too: every document must verify, whichever of them that was.
	for now := start.Add(24 * time.Hour); now.Before(start.Add(22 * 24 * time.Hour)); now = now.Add(13*time.Hour + 11*time.Minute) {
		_, doc := issue(t, root, i, p, now)
		if left := doc.NotAfter.Sub(now); left < 15*time.Minute || left > 3*time.Hour {
			t.Fatalf("at %v the document is good for %v", now, left)
		}
	}
}

func TestRootPEM(t *testing.T) {
	root, _ := newIssuer(t)
	cert, key, err := root.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := issuer.ParseRoot(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	i, err := issuer.NewIssuer(again, moduleID, region, start)
	if err != nil {
		t.Fatal(err)
	}
	issue(t, root, i, issuer.Payload{PCRs: map[int]attestation.PCR{0: {}}}, start)

	other, _ := newIssuer(t)
	_, otherKey, err := other.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		cert, key []byte
		words     string
	}{
		"no certificate": {nil, key, "root certificate: no PEM block"},
		"no key":         {cert, nil, "root key: want one PEM block"},
		"certificate":    {cert, cert, "root key: want one PEM block"},
		"two keys":       {cert, slices.Concat(key, otherKey), "root key: want one PEM block"},
		"other key":      {cert, otherKey, "does not belong"},
		"garbage":        {cert, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "not in PKCS #8"},
	} {
		if r, err := issuer.ParseRoot(test.cert, test.key); r != nil || err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: got %v, %v, want %q", name, r != nil, err, test.words)
		}
	}
}

func TestNewIssuerRefuses(t *testing.T) {
	root, _ := newIssuer(t)
	for _, test := range []struct{ module, region, words string }{
		{"i-0", region, `module id "i-0"`}, {"-enc0", region, `module id "-enc0"`}, {moduleID, "", "region is empty"},
	} {
		if i, err := issuer.NewIssuer(root, test.module, test.region, start); i != nil || err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("got %v, %v, want %q", i != nil, err, test.words)
		}
	}
}
