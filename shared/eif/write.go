package eif

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// ErrChanged is returned by [Write] if a kernel or a ramdisk gave other bytes the second time that it was read. What was written is
// then not an image.
var ErrChanged = errors.New("the parts changed while they were written")

// Write writes an image file of version 4: kernel, cmdline, metadata, ramdisks. The same image gives the same bytes. Kernel and
// ramdisks are read twice and streamed. It writes nothing that [Parse] would refuse.
func Write(w io.Writer, img Image) error { return write(w, img, nil) }

// WriteSigned writes the same file with a signature over its PCR0 after it, as AWS's tools do. Kernel and ramdisks are read four
// times. The signature is the same every time (RFC 6979), hence so are the bytes.
func WriteSigned(w io.Writer, img Image, key *SigningKey) error { return write(w, img, key) }

func write(w io.Writer, img Image, key *SigningKey) error {
	parts, err := img.parts()
	var signed *attestation.PCR
	if err == nil && key != nil {
		parts, signed, err = key.sign(parts)
	}
	if err == nil {
		err = writeParts(w, img, parts, signed)
	}
	if err != nil {
		return fmt.Errorf("write enclave image: %w", err)
	}
	return nil
}

// writeParts writes the file; signed is the register that a signature is over, if there is one.
func writeParts(w io.Writer, img Image, parts []part, signed *attestation.PCR) error {
	h, err := layOut(img, parts)
	if err != nil {
		return err
	}
	h.Checksum, err = emit(io.Discard, h, parts)
	if err != nil {
		return err
	}
	if signed != nil {
		now, err := pcr0Of(parts)
		if err != nil {
			return err
		}
		if now != *signed {
			return ErrChanged
		}
	}
	again, err := emit(w, h, parts)
	if err == nil && again != h.Checksum {
		err = ErrChanged
	}
	return err
}

// part is a section that is still to be written.
type part struct {
	Section
	body *io.SectionReader
}

func (img Image) parts() ([]part, error) {
	if img.Arch != X8664 && img.Arch != ARM64 {
		return nil, fmt.Errorf("%v is unknown", img.Arch)
	}
	if img.Kernel == nil {
		return nil, errors.New("kernel: missing")
	}
	if err := checkMetadata(img.Metadata); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	cmdline, metadata := int64(len(img.Cmdline)), int64(len(img.Metadata))
	parts := []part{
		{Section{Type: KernelSection}, img.Kernel},
		{Section{Type: CmdlineSection}, io.NewSectionReader(strings.NewReader(img.Cmdline), 0, cmdline)},
		{Section{Type: MetadataSection}, io.NewSectionReader(bytes.NewReader(img.Metadata), 0, metadata)},
	}
	for i, ramdisk := range img.Ramdisks {
		if ramdisk == nil {
			return nil, fmt.Errorf("ramdisk %d: missing", i)
		}
		parts = append(parts, part{Section{Type: RamdiskSection}, ramdisk})
	}
	return parts, nil
}

// layOut gives every part its place, and makes a header without a checksum.
func layOut(img Image, parts []part) (header, error) {
	if len(parts) > maxSections {
		return header{}, fmt.Errorf("%d sections, at most %d are allowed", len(parts), maxSections)
	}
	h := header{
		Magic: [4]byte([]byte(magic)), Version: maxVersion, Flags: uint16(img.Arch), Memory: img.Memory, CPUs: img.CPUs,
		Sections: uint16(len(parts)),
	}
	next := int64(headerSize)
	var sections []Section
	for i := range parts {
		s := &parts[i].Section
		s.Offset, s.Size = next, parts[i].body.Size()
		if s.Size < 0 || s.Size > math.MaxInt64-s.body() {
			return header{}, fmt.Errorf("section %d (%v) of %d bytes does not fit into a file", i, s.Type, s.Size)
		}
		next = s.end()
		h.Offsets[i], h.Sizes[i] = uint64(s.Offset), uint64(s.Size)
		sections = append(sections, *s)
	}
	return h, checkSections(maxVersion, sections)
}

// emit writes the whole file and returns its checksum.
func emit(w io.Writer, h header, parts []part) (checksum uint32, err error) {
	head := encode(h)
	checksum = crc32.ChecksumIEEE(head[:headerSize-checksumSize])
	if _, err := w.Write(head); err != nil {
		return 0, err
	}
	chunk := make([]byte, chunkSize)
	for i, p := range parts {
		head := encode(sectionHeader{Type: p.Type, Size: uint64(p.Size)})
		checksum = crc32.Update(checksum, crc32.IEEETable, head)
		if _, err := w.Write(head); err != nil {
			return 0, err
		}
		err := eachChunk(p.body, chunk, 0, p.Size, func(some []byte) error {
			checksum = crc32.Update(checksum, crc32.IEEETable, some)
			_, err := w.Write(some)
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("section %d (%v): %w", i, p.Type, err)
		}
	}
	return checksum, nil
}
