package eif_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
	disk "github.com/unforeseen-consequences/containment-chamber/shared/eif/ramdisk"
)

var oracle = flag.String("oracle", "", "program that answers for AWS's library; scripts/oracle/eif builds it")

// answer is what AWS's library says of a file.
type answer struct {
	Checksum  bool              `json:"checksum"`
	Signature *bool             `json:"signature"` // nil when there is none
	Registers map[string]string `json:"registers"`
}

// compare fails unless Parse says the same of a file.
func compare(t *testing.T, raw, said []byte) *eif.File {
	t.Helper()
	var want answer
	if err := json.Unmarshal(said, &want); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	f := mustParse(t, raw)
	if diff := cmp.Diff(want.Registers, f.Describe().PCRs); diff != "" {
		t.Error(diff)
	}
	if !want.Checksum || (f.Signer != nil) != (want.Signature != nil && *want.Signature) {
		t.Errorf("signer %v, AWS's library says %s", f.Signer, said)
	}
	return f
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// compareCommitted reads the images in testdata, which AWS's library built and signed.
func compareCommitted(t *testing.T) {
	t.Helper()
	algorithms := map[string]string{"unsigned": "", "unsigned-arm64": "", "es256": "ES256", "es384": "ES384", "es512": "ES512"}
	found, err := filepath.Glob(filepath.Join("testdata", "*.eif"))
	if err != nil || len(found) != len(algorithms) {
		t.Errorf("%d images, want %d, %v", len(found), len(algorithms), err)
	}
	for name, algorithm := range algorithms {
		t.Run(name, func(t *testing.T) {
			raw, said := readFile(t, name+".eif"), readFile(t, name+".json")
			f := compare(t, raw, said)
			if algorithm == "" {
				if f.Signer != nil || !bytes.Equal(raw, written(t, committedImage(t, f.Arch))) {
					t.Error("what we write of the same parts has other bytes")
				}
				return
			}
			if f.Signer.Algorithm != algorithm || f.Signer.Certificate.Subject.CommonName != "containment-chamber test "+name {
				t.Errorf("got signer %s, %s", f.Signer.Algorithm, f.Signer.Certificate.Subject)
			}
		})
	}
}

// committedImage is what scripts/oracle/eif gives to AWS's builder.
func committedImage(t *testing.T, arch eif.Arch) eif.Image {
	t.Helper()
	lines := func(line string, n int) *io.SectionReader { return reader(strings.Repeat(line+"\n", n)[:n]) }
	return eif.Image{
		Arch: arch, Memory: 1 << 30, CPUs: 2, Kernel: lines("kernel", 1000), Cmdline: "console=ttyS0", Metadata: []byte(someMetadata),
		Ramdisks: []*io.SectionReader{lines("boot", 700), lines("application", 900)},
	}
}

// oracleCases is how many images are compared with a live oracle.
const oracleCases = 50

// TestOracle: what AWS's library said of the images in testdata is what we say. With the library at hand it builds images of random
// parts too, which must be ours to the byte, and describes images that are signed here.
func TestOracle(t *testing.T) {
	compareCommitted(t)
	if *oracle == "" {
		return
	}
	r := rand.New(rand.NewPCG(1, 1))
	dir := t.TempDir()
	for i := range oracleCases {
		var parts []string
		for len(parts) < 1+1+r.IntN(5) { // a kernel and, for AWS's library, at least one ramdisk
			parts = append(parts, randomText(r, 1+r.IntN(1<<r.IntN(20))))
		}
		t.Run(fmt.Sprint(i), func(t *testing.T) { compareBuilt(t, dir, "cmd "+randomText(r, r.IntN(2000)), parts) })
	}
	compareSigned(t, dir)
	compareSignedByUs(t, dir)
}

// compareSignedByUs has the oracle describe an image that is made as "eif build" makes it, and signed; then read again and signed by
// somebody else, as "eif sign" does it.
func compareSignedByUs(t *testing.T, dir string) {
	t.Helper()
	for i := range 5 {
		packed := tree(t, fmt.Sprint("program ", i))
		img := eif.Image{Memory: 1 << 30, CPUs: 2, Kernel: reader("kernel"), Cmdline: "c", Metadata: []byte(someMetadata), Ramdisks: []*io.SectionReader{packed, packed}}
		raw := signed(t, img, signingKey(t, newSigner(t, es384, elliptic.P384(), crypto.SHA384)))
		if f := compare(t, raw, ask(t, "describe", save(t, dir, "ours.eif", string(raw)))); f.Signer == nil {
			t.Error("AWS's library and we found no signature")
		}
		other := newSigner(t, es384, elliptic.P384(), crypto.SHA384)
		again := signed(t, mustParse(t, raw).Image, signingKey(t, other))
		if f := compare(t, again, ask(t, "describe", save(t, dir, "again.eif", string(again)))); f.PCRs[8] != eif.PCR8(other.der) {
			t.Errorf("PCR8 is %v, not that of the second signer", f.PCRs[8])
		}
	}
}

// tree is a ramdisk with one file.
func tree(t *testing.T, body string) *io.SectionReader {
	t.Helper()
	files := disk.NewTree()
	if err := files.Put("init", disk.Entry{Mode: disk.Regular | 0o755, Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := disk.Write(&out, files); err != nil {
		t.Fatal(err)
	}
	return reader(out.String())
}

func randomText(r *rand.Rand, n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(' ' + r.IntN(95))
	}
	return string(out)
}

// compareBuilt has the oracle build an image of a kernel and ramdisks.
func compareBuilt(t *testing.T, dir, cmdline string, parts []string) {
	t.Helper()
	out := filepath.Join(dir, "built.eif")
	img := eif.Image{Memory: 1 << 30, CPUs: 2, Cmdline: cmdline, Metadata: []byte(someMetadata), Kernel: reader(parts[0])}
	args := []string{"build", out, "x86_64", cmdline, save(t, dir, "metadata.json", someMetadata)}
	for i, body := range parts {
		args = append(args, save(t, dir, fmt.Sprintf("part%d", i), body))
		if i > 0 {
			img.Ramdisks = append(img.Ramdisks, reader(body))
		}
	}
	ask(t, args...)
	theirs, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(theirs, written(t, img)) {
		t.Error("what we write of the same parts has other bytes")
	}
	compare(t, theirs, ask(t, "describe", out))
}

// compareSigned has the oracle describe images that are signed, well and wrongly, by the tests' own signer.
func compareSigned(t *testing.T, dir string) {
	t.Helper()
	for _, s := range signers(t) {
		raw := signedWith(s.section(t, pcr0OfGood(t)))
		compare(t, raw, ask(t, "describe", save(t, dir, "signed.eif", string(raw))))
		other := signedWith(s.section(t, strings.Repeat("x", 48)))
		var said answer
		if err := json.Unmarshal(ask(t, "describe", save(t, dir, "other.eif", string(other))), &said); err != nil {
			t.Fatal(err)
		}
		if f, err := parse(other); said.Signature == nil || *said.Signature || err == nil || f != nil {
			t.Errorf("signature of another image: got %v; AWS's library says %+v", err, said)
		}
	}
}

func save(t *testing.T, dir, name, body string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func ask(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), *oracle, args...).Output()
	if err != nil {
		t.Fatalf("oracle %s: %v", args[0], err)
	}
	return out
}
