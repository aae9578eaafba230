package eif_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/eif"
)

func TestParse(t *testing.T) {
	raw := good().bytes()
	f := mustParse(t, raw)
	wantSections := []eif.Section{
		{Type: eif.KernelSection, Offset: 548, Size: 6},
		{Type: eif.CmdlineSection, Offset: 566, Size: 7},
		{Type: eif.MetadataSection, Offset: 585, Size: int64(len(someMetadata))},
		{Type: eif.RamdiskSection, Offset: 597 + int64(len(someMetadata)), Size: 4},
		{Type: eif.RamdiskSection, Offset: 613 + int64(len(someMetadata)), Size: 4},
		{Type: eif.RamdiskSection, Offset: 629 + int64(len(someMetadata)), Size: 4},
	}
	if diff := cmp.Diff(wantSections, f.Sections); diff != "" {
		t.Error(diff)
	}
	if f.Version != 4 || f.Arch != eif.X8664 || f.Memory != 1<<30 || f.CPUs != 2 || f.Size != int64(len(raw)) || f.Signer != nil {
		t.Errorf("got %+v", f)
	}
	if f.Cmdline != "cmdline" || string(f.Metadata) != someMetadata {
		t.Errorf("cmdline %q, metadata %q", f.Cmdline, f.Metadata)
	}
	var bodies []string
	for _, r := range append([]*io.SectionReader{f.Kernel}, f.Ramdisks...) {
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, string(body))
	}
	if diff := cmp.Diff([]string{"kernel", "boot", "app1", "app2"}, bodies); diff != "" {
		t.Error(diff)
	}
}

func TestParseVersions(t *testing.T) {
	three := []section{{kernel, "kernel"}, {cmdline, "cmdline"}, {ramdisk, "boot"}}
	for _, version := range []uint16{2, 3} {
		f := mustParse(t, file{version: version, flags: 1, sections: three}.bytes())
		if f.Version != int(version) || f.Arch != eif.ARM64 || f.Metadata != nil {
			t.Errorf("got version %d, %v, metadata %q", f.Version, f.Arch, f.Metadata)
		}
	}
}

// with gives the good file with one change, and the checksum made right again.
func with(change func(raw []byte) []byte) []byte { return checksummed(change(good().bytes())) }

func put16(at int, v uint16) func([]byte) []byte {
	return func(raw []byte) []byte { binary.BigEndian.PutUint16(raw[at:], v); return raw }
}

func put64(at int, v uint64) func([]byte) []byte {
	return func(raw []byte) []byte { binary.BigEndian.PutUint64(raw[at:], v); return raw }
}

func TestMalformedHeader(t *testing.T) {
	boot := 597 + len(someMetadata) // the first ramdisk's section header
	size := uint64(len(good().bytes()))
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		field  string
		offset int64
		words  string
	}{
		{"empty", func([]byte) []byte { return nil }, "header", 0, "file of 0 bytes, want at least 548"},
		{"short", func(raw []byte) []byte { return raw[:547] }, "header", 0, "file of 547 bytes"},
		{"header alone", func(raw []byte) []byte { return raw[:548] }, "section 0 header", 548, "the file has 0 left"},
		{"not an image", put16(0, 0x7f45), "magic", 0, "not an enclave image"},
		{"version before checksums", put16(4, 1), "version", 4, "1, want 2 to 4"},
		{"version to come", put16(4, 5), "version", 4, "5, want 2 to 4"},
		{"flag without meaning", put16(6, 2), "flags", 6, "0x0002, only bit 0 is known"},
		{"highest flag", put16(6, 0x8001), "flags", 6, "0x8001"},
		{"reserved field", put16(0x18, 1), "reserved field", 0x18, "0x0001, want 0"},
		{"no section", put16(0x1a, 0), "number of sections", 0x1a, "0, want 2 to 32"},
		{"one section", put16(0x1a, 1), "number of sections", 0x1a, "1, want"},
		{"33 sections", put16(0x1a, 33), "number of sections", 0x1a, "33, want"},
		{"65535 sections", put16(0x1a, math.MaxUint16), "number of sections", 0x1a, "65535, want"},
		{"unused field", put16(0x21e, 7), "unused field", 0x21c, "0x00000007, want 0"},
		{"fewer sections than offsets", put16(0x1a, 5), "section 5 offset", 0x1c + 40, "but there are 5 sections"},
		{"more sections than offsets", put16(0x1a, 7), "section 6 offset", 0x1c + 48, "0, want"},
		{"offset of the 32nd section", put64(0x1c+31*8, 1), "section 31 offset", 0x1c + 31*8, "but there are 6 sections"},
		{"size of the 32nd section", put64(0x11c+31*8, 1), "section 31 size", 0x11c + 31*8, "but there are 6 sections"},
		{"first section in the header", put64(0x1c, 0), "section 0 offset", 0x1c, "0, want 548"},
		{"gap after the header", put64(0x1c, 549), "section 0 offset", 0x1c, "549, want 548"},
		{"same offset twice", put64(0x1c+8, 548), "section 1 offset", 0x1c + 8, "548, want 566, where the one before ends"},
		{"overlap", put64(0x1c+8, 565), "section 1 offset", 0x1c + 8, "565, want 566"},
		{"gap", put64(0x1c+8, 567), "section 1 offset", 0x1c + 8, "567, want 566"},
		{"offset beyond the file", put64(0x1c+8, size), "section 1 offset", 0x1c + 8, "want 566"},
		{"negative offset", put64(0x1c+8, math.MaxUint64), "section 1 offset", 0x1c + 8, "18446744073709551615, want 566"},
		{"smaller size than the section's", put64(0x11c, 5), "section 0 size", 548 + 4, "6 bytes, the file's header says 5"},
		{"size beyond the file", put64(0x11c, size-548-11), "section 0 size", 0x11c, "the file has"},
		{"size that fits if it were signed", put64(0x11c, math.MaxUint64), "section 0 size", 0x11c, "18446744073709551615 bytes, the file has"},
		{"size that overflows an offset", put64(0x11c, math.MaxInt64), "section 0 size", 0x11c, "the file has"},
		{"section of type 0", put16(548, 0), "section 0 type", 548, "0, want"},
		{"section of type 6", put16(boot, 6), "section 3 type", int64(boot), "6, want"},
		{"section flags", put16(boot+2, 1), "section 3 flags", int64(boot + 2), "0x0001, want 0"},
		{"section's own size", put64(boot+4, 3), "section 3 size", int64(boot + 4), "3 bytes, the file's header says 4"},
		{"trailing byte", func(raw []byte) []byte { return append(raw, 0) }, "end of the last section", int64(size), "1 bytes follow"},
		{"last byte missing", func(raw []byte) []byte { return raw[:len(raw)-1] }, "section 5 size", 0x11c + 40, "4 bytes, the file has 3 left"},
		{"last body missing", func(raw []byte) []byte { return raw[:len(raw)-4] }, "section 5 size", 0x11c + 40, "4 bytes, the file has 0 left"},
		{"last header cut", func(raw []byte) []byte { return raw[:len(raw)-5] }, "section 5 header", int64(size) - 16, "12 bytes, the file has 11 left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := parse(with(c.change))
			refused(t, f, err, c.field, c.offset, c.words)
		})
	}
}

func TestMalformedSections(t *testing.T) {
	k, c, r, m := section{kernel, "kernel"}, section{cmdline, "cmdline"}, section{ramdisk, "boot"}, section{metadata, "{}"}
	s := section{signature, "\x81"}
	for _, test := range []struct {
		name     string
		version  uint16
		sections []section
		field    string
		offset   int64
		words    string
	}{
		{"no kernel", 2, []section{c, c}, "section 0 (cmdline)", 548, "stands before the kernel"},
		{"no cmdline", 4, []section{k, m}, "cmdline", 548, "missing"},
		{"neither", 4, []section{m, s}, "kernel", 548, "missing"},
		{"two kernels", 4, []section{k, k, c, m}, "section 1 (kernel)", 566, "a second time"},
		{"two kernels around the cmdline", 4, []section{k, c, k, m}, "section 2 (kernel)", 585, "a second time"},
		{"two cmdlines", 4, []section{k, c, c, m}, "section 2 (cmdline)", 585, "a second time"},
		{"cmdline before the kernel", 4, []section{c, k, m}, "section 0 (cmdline)", 548, "stands before the kernel"},
		{"ramdisk before the kernel", 4, []section{r, k, c, m}, "section 0 (ramdisk)", 548, "stands before the kernel or the cmdline"},
		{"ramdisk before the cmdline", 4, []section{k, r, c, m}, "section 1 (ramdisk)", 566, "stands before the kernel or the cmdline"},
		{"empty kernel", 4, []section{{kernel, ""}, c, m}, "section 0 (kernel)", 548, "empty"},
		{"long cmdline", 4, []section{k, {cmdline, strings.Repeat("x", 4097)}, m}, "section 1 (cmdline)", 566, "4097 bytes, at most 4096"},
		{"version 4 without metadata", 4, []section{k, c, r}, "metadata", 548, "missing, version 4 must have it"},
		{"version 3 with metadata", 3, []section{k, c, m}, "section 2 (metadata)", 585, "version 3 does not have it"},
		{"version 2 with metadata", 2, []section{k, c, m}, "section 2 (metadata)", 585, "version 2 does not have it"},
		{"two metadata", 4, []section{k, c, m, m}, "section 3 (metadata)", 599, "a second time"},
		{"large metadata", 4, []section{k, c, {metadata, strings.Repeat(" ", 1<<20+1)}}, "section 2 (metadata)", 585, "1048577 bytes, at most 1048576"},
		{"metadata that is not JSON", 4, []section{k, c, {metadata, "{"}}, "metadata", 597, "not JSON"},
		{"empty metadata", 4, []section{k, c, {metadata, ""}}, "metadata", 597, "not JSON"},
		{"metadata that is not UTF-8", 4, []section{k, c, {metadata, "\"\xff\""}}, "metadata", 597, "not UTF-8"},
		{"version 2 with signature", 2, []section{k, c, r, s}, "section 3 (signature)", 601, "version 2 does not have it"},
		{"two signatures", 3, []section{k, c, s, s}, "section 3 (signature)", 598, "a second time"},
		{"large signature", 3, []section{k, c, {signature, strings.Repeat("x", 32<<10+1)}}, "section 2 (signature)", 585, "32769 bytes, at most 32768"},
		{"empty signature", 3, []section{k, c, {signature, ""}}, "signature", 597, "want one entry"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := parse(file{version: test.version, sections: test.sections}.bytes())
			refused(t, f, err, test.field, test.offset, test.words)
		})
	}
}

func TestManySections(t *testing.T) {
	full := good()
	for len(full.sections) < 32 {
		full.sections = append(full.sections, section{ramdisk, "more"})
	}
	if f := mustParse(t, full.bytes()); len(f.Sections) != 32 || len(f.Ramdisks) != 29 {
		t.Errorf("got %d sections, %d ramdisks", len(f.Sections), len(f.Ramdisks))
	}
	full.sections = append(full.sections, section{ramdisk, "more"})
	f, err := parse(full.bytes())
	refused(t, f, err, "number of sections", 0x1a, "33, want 2 to 32")
}

// TestFlipped changes one bit of one byte at a time: the checksum finds every one that nothing else finds.
func TestFlipped(t *testing.T) {
	raw := good().bytes()
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1 << (i % 8)
		if f, err := parse(changed); err == nil || f != nil {
			t.Errorf("byte %d changed: accepted", i)
		}
	}
	changed := bytes.Clone(raw)
	changed[len(raw)-1] ^= 1
	f, err := parse(changed)
	refused(t, f, err, "checksum", 0x220, "the file has 0x")
}

var errDisk = errors.New("disk is gone")

// broken reads zero bytes and an error from an offset on; without an error the file ends there.
type broken struct {
	raw  []byte
	from int64
	err  error
}

func (b broken) ReadAt(p []byte, at int64) (int, error) {
	n, err := bytes.NewReader(b.raw[:b.from]).ReadAt(p, at)
	if err != nil && b.err != nil {
		err = b.err
	}
	return n, err
}

func TestReaderFails(t *testing.T) {
	raw := good().bytes()
	for _, c := range []struct {
		name   string
		from   int64
		field  string
		offset int64
	}{
		{"in the header", 100, "header", 0},
		{"in a section header", 550, "section 0 header", 548},
		{"in a body", int64(len(raw)) - 1, "section 5 (ramdisk)", int64(len(raw)) - 4},
	} {
		for _, cause := range []error{nil, errDisk} {
			f, err := eif.Parse(broken{raw, c.from, cause}, int64(len(raw)))
			want := cause
			if want == nil {
				want = io.ErrUnexpectedEOF
			}
			refused(t, f, err, c.field, c.offset, want.Error())
			if !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", c.name, err, want)
			}
		}
	}
	for _, size := range []int64{-1, math.MinInt64} {
		f, err := eif.Parse(bytes.NewReader(raw), size)
		refused(t, f, err, "header", 0, "want at least 548")
	}
}
