package eif

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

const (
	magic             = ".eif"
	headerSize        = 548
	sectionHeaderSize = 12
	checksumSize      = 4 // the last field of the header
	maxSections       = 32
	minSections       = 2 // kernel and cmdline

	minVersion       = 2 // the first with a checksum
	signatureVersion = 3
	metadataVersion  = 4
	maxVersion       = 4
)

// Where the fields of the header begin, in bytes.
const (
	versionOffset  = 0x4
	flagsOffset    = 0x6
	reservedOffset = 0x18
	countOffset    = 0x1a
	offsetsOffset  = 0x1c
	sizesOffset    = 0x11c
	unusedOffset   = 0x21c
	checksumOffset = 0x220
)

// header is the first part of a file, big-endian.
type header struct {
	Magic          [4]byte
	Version, Flags uint16
	Memory, CPUs   uint64
	Reserved       uint16
	Sections       uint16
	Offsets, Sizes [maxSections]uint64 // offsets are of section headers, sizes are of bodies
	Unused         uint32
	// Checksum is CRC-32 (IEEE) over the whole file without this field. It finds accidents, not attackers.
	Checksum uint32
}

// sectionHeader stands before every body.
type sectionHeader struct {
	Type  SectionType
	Flags uint16
	Size  uint64
}

// encode gives the bytes of a header; both kinds have a fixed size.
func encode[T header | sectionHeader](h T) []byte {
	var out bytes.Buffer
	_ = binary.Write(&out, binary.BigEndian, h) // neither a buffer nor a struct of integers can fail
	return out.Bytes()
}

// read fills p from the offset at. A file that ends before its size gives io.ErrUnexpectedEOF.
func read(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	switch {
	case n == len(p):
		return nil
	case err == nil || err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return err
}

// readHeaderAt reads a header of either kind.
func readHeaderAt[T header | sectionHeader](r io.ReaderAt, at int64) (T, error) {
	var h T
	raw := make([]byte, binary.Size(h))
	err := read(r, raw, at)
	if err == nil {
		_, err = binary.Decode(raw, binary.BigEndian, &h)
	}
	return h, err
}

func readHeader(r io.ReaderAt, size int64) (header, error) {
	if size < headerSize {
		return header{}, refuse("header", 0, fmt.Errorf("file of %d bytes, want at least %d", size, headerSize))
	}
	h, err := readHeaderAt[header](r, 0)
	if err != nil {
		return header{}, refuse("header", 0, err)
	}
	return h, h.check()
}

// check looks at everything but where the sections are. What has no meaning must be zero: the checksum is all that would tell a
// change of it.
func (h header) check() error {
	switch {
	case string(h.Magic[:]) != magic:
		return refuse("magic", 0, fmt.Errorf("%q, want %q: not an enclave image", h.Magic[:], magic))
	case h.Version < minVersion || h.Version > maxVersion:
		return refuse("version", versionOffset, fmt.Errorf("%d, want %d to %d", h.Version, minVersion, maxVersion))
	case h.Flags > uint16(ARM64):
		return refuse("flags", flagsOffset, fmt.Errorf("0x%04x, only bit 0 is known", h.Flags))
	case h.Reserved != 0:
		return refuse("reserved field", reservedOffset, fmt.Errorf("0x%04x, want 0", h.Reserved))
	case h.Sections < minSections || h.Sections > maxSections:
		return refuse("number of sections", countOffset, fmt.Errorf("%d, want %d to %d", h.Sections, minSections, maxSections))
	case h.Unused != 0:
		return refuse("unused field", unusedOffset, fmt.Errorf("0x%08x, want 0", h.Unused))
	}
	for i := int(h.Sections); i < maxSections; i++ {
		if h.Offsets[i] != 0 {
			return refuse(fmt.Sprintf("section %d offset", i), offsetAt(i), fmt.Errorf("%d, but there are %d sections", h.Offsets[i], h.Sections))
		}
		if h.Sizes[i] != 0 {
			return refuse(fmt.Sprintf("section %d size", i), sizeAt(i), fmt.Errorf("%d, but there are %d sections", h.Sizes[i], h.Sections))
		}
	}
	return nil
}

// offsetAt and sizeAt are where the header tells the offset and the size of section i.
func offsetAt(i int) int64 { return offsetsOffset + 8*int64(i) }
func sizeAt(i int) int64   { return sizesOffset + 8*int64(i) }
