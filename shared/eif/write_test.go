package eif_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

func reader(s string) *io.SectionReader {
	return io.NewSectionReader(strings.NewReader(s), 0, int64(len(s)))
}

// image is what good is made of.
func image() eif.Image {
	return eif.Image{
		Memory: 1 << 30, CPUs: 2, Kernel: reader("kernel"), Cmdline: "cmdline", Metadata: []byte(someMetadata),
		Ramdisks: []*io.SectionReader{reader("boot"), reader("app1"), reader("app2")},
	}
}

func written(t testing.TB, img eif.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := eif.Write(&out, img); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestWrite(t *testing.T) {
	first := written(t, image())
	if diff := cmp.Diff(good().bytes(), first); diff != "" {
		t.Error(diff)
	}
	if !bytes.Equal(first, written(t, image())) {
		t.Error("the same image gave other bytes")
	}
	if f := mustParse(t, first); !bytes.Equal(first, written(t, f.Image)) {
		t.Error("what was parsed gave other bytes when it was written again")
	}
	arm := image()
	arm.Arch, arm.Ramdisks = eif.ARM64, nil
	if f := mustParse(t, written(t, arm)); f.Arch != eif.ARM64 || len(f.Ramdisks) != 0 {
		t.Errorf("got %v, %d ramdisks", f.Arch, len(f.Ramdisks))
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*eif.Image)
		words  string
	}{
		{"architecture", func(i *eif.Image) { i.Arch = 2 }, "architecture 2 is unknown"},
		{"no kernel", func(i *eif.Image) { i.Kernel = nil }, "kernel: missing"},
		{"empty kernel", func(i *eif.Image) { i.Kernel = reader("") }, "section 0 (kernel) at byte 548: empty"},
		{"long cmdline", func(i *eif.Image) { i.Cmdline = strings.Repeat("x", 4097) }, "4097 bytes, at most 4096"},
		{"no metadata", func(i *eif.Image) { i.Metadata = nil }, "metadata: not JSON"},
		{"large metadata", func(i *eif.Image) { i.Metadata = bytes.Repeat([]byte(" "), 1<<20+1) }, "metadata: 1048577 bytes"},
		{"a ramdisk missing", func(i *eif.Image) { i.Ramdisks[1] = nil }, "ramdisk 1: missing"},
		{"33 sections", func(i *eif.Image) { i.Ramdisks = slices.Repeat([]*io.SectionReader{reader("r")}, 30) }, "33 sections, at most 32"},
		{"too large", func(i *eif.Image) { i.Kernel = io.NewSectionReader(zeros{}, 0, math.MaxInt64) }, "does not fit into a file"},
		{
			"reader that ends", func(i *eif.Image) { i.Ramdisks[2] = io.NewSectionReader(strings.NewReader("app2"), 0, 5) },
			"section 5 (ramdisk): read 5 bytes from byte 0: unexpected EOF",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := image()
			c.change(&img)
			var out bytes.Buffer
			err := eif.Write(&out, img)
			if err == nil || !strings.HasPrefix(err.Error(), "write enclave image: ") || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v, want an error with %q", err, c.words)
			}
			if out.Len() > 0 {
				t.Errorf("%d bytes were written", out.Len())
			}
		})
	}
}

// counter gives other bytes each time that it is read.
type counter struct{ reads byte }

func (c *counter) ReadAt(p []byte, _ int64) (int, error) {
	c.reads++
	for i := range p {
		p[i] = c.reads
	}
	return len(p), nil
}

func TestWriteChanged(t *testing.T) {
	img := image()
	img.Kernel = io.NewSectionReader(&counter{}, 0, 100)
	if err := eif.Write(io.Discard, img); !errors.Is(err, eif.ErrChanged) {
		t.Errorf("got %v, want ErrChanged", err)
	}
}

// turncoat is what was signed the first time that it is read, and something else from then on.
type turncoat struct{ reads int }

func (c *turncoat) ReadAt(p []byte, _ int64) (int, error) {
	c.reads++
	for i := range p {
		p[i] = byte(min(c.reads, 2))
	}
	return len(p), nil
}

// TestWriteSignedChanged: a signature is over what is written, or nothing is.
func TestWriteSignedChanged(t *testing.T) {
	img := image()
	img.Kernel = io.NewSectionReader(&turncoat{}, 0, 100)
	var out bytes.Buffer
	err := eif.WriteSigned(&out, img, signingKey(t, newSigner(t, es384, elliptic.P384(), crypto.SHA384)))
	if !errors.Is(err, eif.ErrChanged) || out.Len() > 0 {
		t.Errorf("%d bytes, %v, want ErrChanged", out.Len(), err)
	}
}

// full takes so many bytes, then none.
type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.left {
		return 0, errDisk
	}
	f.left -= len(p)
	return len(p), nil
}

func TestWriterFails(t *testing.T) {
	for _, left := range []int{0, 548, 560, 600} {
		if err := eif.Write(&full{left}, image()); !errors.Is(err, errDisk) {
			t.Errorf("after %d bytes: got %v, want %v", left, err, errDisk)
		}
	}
}

func TestImageMetadata(t *testing.T) {
	m := eif.ImageMetadata{Name: "chamber", Version: "1", Build: eif.BuildMetadata{
		Time: "1970-01-01T00:00:01Z", Tool: "make", ToolVersion: "4", OperatingSystem: "Linux", KernelVersion: "6.12",
	}}
	got, err := m.Marshal()
	if err != nil || string(got) != someMetadata {
		t.Errorf("got %s, %v; want %s", got, err, someMetadata)
	}
	m.Custom = json.RawMessage("{")
	if got, err := m.Marshal(); err == nil || got != nil {
		t.Errorf("got %s with broken custom metadata", got)
	}
	m.Custom = json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)
	if got, err := m.Marshal(); err == nil || got != nil || !strings.Contains(err.Error(), "at most 1048576") {
		t.Errorf("got %d bytes, %v with large custom metadata", len(got), err)
	}
}
