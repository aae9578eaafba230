// Package eif reads, measures and writes the enclave image files of AWS Nitro Enclaves.
package eif

import (
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// Arch is the processor that an image is for.
type Arch uint16

// The architectures, as bit 0 of the header's flags has them.
const (
	X8664 Arch = 0
	ARM64 Arch = 1
)

func (a Arch) String() string {
	switch a {
	case X8664:
		return "x86_64"
	case ARM64:
		return "arm64"
	}
	return fmt.Sprintf("architecture %d", uint16(a))
}

// SectionType is what a section holds.
type SectionType uint16

// The types of sections.
const (
	KernelSection    SectionType = iota + 1 // measured
	CmdlineSection                          // measured
	RamdiskSection                          // measured
	SignatureSection                        // not measured; in version 3 and later
	MetadataSection                         // not measured; in version 4, which must have it
)

func (t SectionType) String() string {
	switch t {
	case KernelSection:
		return "kernel"
	case CmdlineSection:
		return "cmdline"
	case RamdiskSection:
		return "ramdisk"
	case SignatureSection:
		return "signature"
	case MetadataSection:
		return "metadata"
	}
	return fmt.Sprintf("type %d", uint16(t))
}

// measured tells whether the section's bytes are in PCR0.
func (t SectionType) measured() bool {
	return t == KernelSection || t == CmdlineSection || t == RamdiskSection
}

// Section is where one part of an image stands.
type Section struct {
	Type   SectionType
	Offset int64 // of its header in the file, in bytes
	Size   int64 // of its body, which follows the header of 12 bytes
}

func (s Section) body() int64 { return s.Offset + sectionHeaderSize }

func (s Section) end() int64 { return s.body() + s.Size }

// Image is what somebody puts into an enclave image.
type Image struct {
	Arch Arch
	// Memory, in bytes, and CPUs are defaults in the header; whoever starts an enclave gives numbers of his own. AWS's builder writes
	// 1 GiB and 2. They are not measured.
	Memory, CPUs uint64

	Kernel   *io.SectionReader
	Cmdline  string              // at most 4096 bytes
	Ramdisks []*io.SectionReader // the first boots, the others are the application
	// Metadata is JSON, at most 1 MiB, and is not measured: anybody can change it without a trace in any register. Files before
	// version 4 have none.
	Metadata []byte
}

// File is an enclave image file that was read once from end to end and found in order.
type File struct {
	// Image is what the file holds. Its readers read the file again: what they give is what was measured only while nobody writes to it.
	Image
	Version  int // of the format, 2 to 4
	Size     int64
	Sections []Section // as they follow each other, without gaps
	// PCRs are the registers 0, 1 and 2 of an enclave that runs this image outside debug mode, and register 8 if the image is signed.
	PCRs attestation.Measurements
	// Signer made the signature over PCR0, which is verified; nil if the image is not signed.
	Signer *Signer
	r      io.ReaderAt
}

// Body reads the body of one of the file's sections again.
func (f *File) Body(s Section) *io.SectionReader { return io.NewSectionReader(f.r, s.body(), s.Size) }

// Sum reads the body of one of the file's sections again, and hashes it.
func (f *File) Sum(s Section) ([sha256.Size]byte, error) {
	sum := sha256.New()
	err := eachChunk(f.r, make([]byte, min(chunkSize, s.Size)), s.body(), s.end(), func(part []byte) error {
		sum.Write(part)
		return nil
	})
	return [sha256.Size]byte(sum.Sum(nil)), err
}

// Parse reads an enclave image of size bytes, and refuses whatever could be read in two ways: sections that overlap, leave gaps or
// stand in another order than they are measured in, two accounts of one size, bits without a meaning, a wrong checksum, a signature
// that is not by its certificate over this image. Bodies are streamed, each byte is read once, and hashes and checksum are of the
// same bytes; memory does not grow with the file. The error is an [*Error], and then there is no file.
func Parse(r io.ReaderAt, size int64) (*File, error) {
	h, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	sections, err := readSections(r, size, h)
	if err != nil {
		return nil, err
	}
	if err := checkSections(int(h.Version), sections); err != nil {
		return nil, err
	}
	m, err := measure(r, h, sections)
	if err != nil {
		return nil, err
	}
	f := &File{
		Image: Image{
			Arch: Arch(h.Flags), Memory: h.Memory, CPUs: h.CPUs,
			Cmdline: string(m.kept[CmdlineSection]), Metadata: m.kept[MetadataSection],
		},
		Version: int(h.Version), Size: size, Sections: sections, PCRs: m.pcrs(), r: r,
	}
	for _, s := range sections {
		body := f.Body(s)
		switch s.Type {
		case KernelSection:
			f.Kernel = body
		case RamdiskSection:
			f.Ramdisks = append(f.Ramdisks, body)
		case SignatureSection:
			if f.Signer, err = verifySignature(m.kept[SignatureSection], f.PCRs[0]); err != nil {
				return nil, refuse("signature", s.body(), err)
			}
			f.PCRs[signerPCR] = PCR8(f.Signer.Certificate.Raw)
		case MetadataSection:
			if err := checkMetadata(f.Metadata); err != nil {
				return nil, refuse("metadata", s.body(), err)
			}
		case CmdlineSection:
		}
	}
	return f, nil
}
