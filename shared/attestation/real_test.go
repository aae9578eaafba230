package attestation_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// real is a document of the real AWS. Where it is from stands in testdata/README.md.
type real struct {
	name   string
	digest string // SHA-256 of the file
	millis int64  // its timestamp
	debug  bool
	nonce  int // lengths, -1 when absent
	user   int
	public int
}

var reals = []real{
	{"prod-pcr8-nonce.cose", "a72552688ab6de06b9039ebda2bd5ae9285860ec886f841da94351681dfb3eb6", 1665651482136, false, 256, -1, -1},
	{"debug.cose", "46591b92f9abefaace22a6d7ea4ca9c7007dfdbe788fbe8634b230ec2043a789", 1665582606081, true, -1, 13, 19},
	{"debug-spki-user-data.cose", "6f80ac250af2f06f1e423051f64a8b29926cc474a728d0bf1f7a4d21074ec9e5", 1695049410860, true, 256, 91, -1},
	{"x509-san-prod.pem", "633df521ca09e05836e3cd262c0b194eac8f5e5d86b40582aa319dcf1c5b299e", 1674047239280, false, 256, 120, -1},
}

func (r real) time() time.Time { return time.UnixMilli(r.millis) }

func (r real) read(t testing.TB) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", r.name))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(raw)); got != r.digest {
		t.Fatalf("%s has SHA-256 %s, want %s", r.name, got, r.digest)
	}
	if strings.HasSuffix(r.name, ".pem") {
		return fromSAN(t, raw)
	}
	return raw
}

// fromSAN takes the document from the DNS name of a certificate that begins with it in hexadecimal.
func fromSAN(t testing.TB, text []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range cert.DNSNames {
		first, _, _ := strings.Cut(name, ".")
		if raw, err := hex.DecodeString(first); err == nil {
			return raw
		}
	}
	t.Fatal("no document in the certificate")
	return nil
}

// refusedAt fails unless err is an *attestation.Error of this step whose text contains words, and doc is nil.
func refusedAt(t *testing.T, doc *attestation.Document, err error, step attestation.Step, words string) {
	t.Helper()
	e, ok := errors.AsType[*attestation.Error](err)
	if !ok || e.Step != step || !strings.Contains(err.Error(), words) || doc != nil {
		t.Errorf("got document %v, error %v; want no document and an error at step %v with %q", doc != nil, err, step, words)
	}
}

func size(b []byte) int {
	if b == nil {
		return -1
	}
	return len(b)
}

func TestRealDocuments(t *testing.T) {
	for _, r := range reals {
		t.Run(r.name, func(t *testing.T) {
			raw := r.read(t)
			doc, err := attestation.Verify(raw, attestation.Options{Now: r.time(), MaxAge: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			if !doc.Timestamp.Equal(r.time()) {
				t.Errorf("timestamp %v, want %v", doc.Timestamp, r.time())
			}
			if got, want := [3]int{size(doc.Nonce), size(doc.UserData), size(doc.PublicKey)}, [3]int{r.nonce, r.user, r.public}; got != want {
				t.Errorf("nonce, user_data, public_key have %v bytes, want %v", got, want)
			}
			if len(doc.PCRs) != 16 || len(doc.CABundle) != 4 || len(doc.Unknown) != 0 || !strings.HasPrefix(doc.ModuleID, "i-") {
				t.Errorf("%d registers, %d certificates, unknown %v, module %q", len(doc.PCRs), len(doc.CABundle), doc.Unknown, doc.ModuleID)
			}
			leaf, err := x509.ParseCertificate(doc.Certificate)
			if err != nil {
				t.Fatal(err)
			}
			if doc.NotAfter.After(leaf.NotAfter) || doc.NotAfter.Before(doc.Timestamp) {
				t.Errorf("NotAfter %v, timestamp %v, leaf until %v", doc.NotAfter, doc.Timestamp, leaf.NotAfter)
			}

			_, err = attestation.Verify(raw, attestation.Options{Now: doc.NotAfter})
			if err != nil {
				t.Errorf("at the end of the chain: %v", err)
			}
			late, err := attestation.Verify(raw, attestation.Options{Now: doc.NotAfter.Add(time.Second)})
			refusedAt(t, late, err, attestation.StepChain, "is after")
			live, err := attestation.Verify(raw, attestation.Options{})
			refusedAt(t, live, err, attestation.StepChain, "is after")
			tagged, err := attestation.Verify(append([]byte{0xd2}, raw...), attestation.Options{Now: r.time()})
			if diff := cmp.Diff(doc, tagged); err != nil || diff != "" {
				t.Errorf("with COSE tag: %v %s", err, diff)
			}
		})
	}
}

func TestRealDocumentsAgainstPolicy(t *testing.T) {
	for _, r := range reals {
		t.Run(r.name, func(t *testing.T) {
			doc, err := attestation.Verify(r.read(t), attestation.Options{Now: r.time()})
			if err != nil {
				t.Fatal(err)
			}
			image := attestation.Measurements{0: doc.PCRs[0], 1: doc.PCRs[1], 2: doc.PCRs[2], 3: doc.PCRs[3], 8: doc.PCRs[8]}
			if r.debug {
				image = attestation.Measurements{0: {1}}
			}
			_, err = attestation.Policy{Sets: []attestation.Set{{PCRs: image}}}.Check(doc, attestation.Claims{}, r.time())
			refused, _ := errors.AsType[*attestation.PolicyError](err)
			if r.debug != (refused != nil && refused.Debug) || !r.debug && err != nil {
				t.Errorf("debug %v, got %v", r.debug, err)
			}
		})
	}
}

// flipStride is 1, so that every byte is flipped, except where that would take minutes: the race detector makes P-384 about
// ten times slower, and -short asks for less.
func flipStride() int {
	if raced || testing.Short() {
		return 31
	}
	return 1
}

// TestRealDocumentsFlipped flips one bit of one byte at a time.
func TestRealDocumentsFlipped(t *testing.T) {
	const parts = 4
	stride := flipStride()
	for _, r := range reals {
		raw := r.read(t)
		for part := range parts {
			t.Run(fmt.Sprintf("%s/%d", r.name, part), func(t *testing.T) {
				t.Parallel()
				in := bytes.Clone(raw)
				for i := part * stride; i < len(in); i += parts * stride {
					in[i] ^= 1 << (i / parts % 8)
					if doc, err := attestation.Verify(in, attestation.Options{Now: r.time()}); err == nil || doc != nil {
						t.Errorf("byte %d flipped: accepted", i)
					}
					in[i] = raw[i]
				}
			})
		}
	}
}

func TestAWSRoot(t *testing.T) {
	const pin = "641A0321A3E244EFE456463195D606317ED7CDCC3C1756E09893F3C68F79BB5B"
	root := attestation.AWSRoot()
	if got := fmt.Sprintf("%X", sha256.Sum256(root.Raw)); got != pin {
		t.Errorf("SHA-256 %s, want %s", got, pin)
	}
	doc, err := attestation.Verify(reals[0].read(t), attestation.Options{Now: reals[0].time()})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(doc.CABundle[0], root.Raw) {
		t.Error("AWS puts another root into its documents")
	}
}
