package eif

import (
	"errors"
	"fmt"
	"io"
)

// The largest bodies that are kept in memory, in bytes.
const (
	// maxCmdline is twice what a kernel takes (COMMAND_LINE_SIZE of x86 and arm64 is 2048).
	maxCmdline = 4 << 10
	// maxSignature is the limit of the format.
	maxSignature = 32 << 10
	// maxMetadata leaves room for the description of a container image; the format has no limit.
	maxMetadata = 1 << 20
)

// readSections reads the section headers. Some readers go by the offsets of the header, others from one section to the next; both see
// the same image only if the sections follow each other without gaps, up to the end of the file.
func readSections(r io.ReaderAt, size int64, h header) ([]Section, error) {
	var out []Section
	next := int64(headerSize)
	for i := range int(h.Sections) {
		name := fmt.Sprintf("section %d", i)
		if h.Offsets[i] != uint64(next) {
			return nil, refuse(name+" offset", offsetAt(i), fmt.Errorf("%d, want %d, where the one before ends", h.Offsets[i], next))
		}
		left := size - next - sectionHeaderSize
		if left < 0 {
			return nil, refuse(name+" header", next, fmt.Errorf("%d bytes, the file has %d left", sectionHeaderSize, size-next))
		}
		if h.Sizes[i] > uint64(left) {
			return nil, refuse(name+" size", sizeAt(i), fmt.Errorf("%d bytes, the file has %d left", h.Sizes[i], left))
		}
		s, err := readSection(r, name, next, h.Sizes[i])
		if err != nil {
			return nil, err
		}
		out = append(out, s)
		next = s.end()
	}
	if next != size {
		return nil, refuse("end of the last section", next, fmt.Errorf("%d bytes follow", size-next))
	}
	return out, nil
}

func readSection(r io.ReaderAt, name string, at int64, size uint64) (Section, error) {
	h, err := readHeaderAt[sectionHeader](r, at)
	if err != nil {
		return Section{}, refuse(name+" header", at, err)
	}
	switch {
	case h.Type < KernelSection || h.Type > MetadataSection:
		return Section{}, refuse(name+" type", at, fmt.Errorf("%d, want %d to %d", uint16(h.Type), KernelSection, MetadataSection))
	case h.Flags != 0:
		return Section{}, refuse(name+" flags", at+2, fmt.Errorf("0x%04x, want 0", h.Flags))
	case h.Size != size:
		return Section{}, refuse(name+" size", at+4, fmt.Errorf("%d bytes, the file's header says %d", h.Size, size))
	}
	return Section{Type: h.Type, Offset: at, Size: int64(size)}, nil
}

// checkSections holds the sections against the version. Registers are over kernel, cmdline and ramdisks in this order; a file in
// which they stand otherwise is refused, because its registers depend on who computes them.
func checkSections(version int, sections []Section) error {
	count := map[SectionType]int{}
	for i, s := range sections {
		if err := checkSection(version, s, count); err != nil {
			return refuse(fmt.Sprintf("section %d (%v)", i, s.Type), s.Offset, err)
		}
		count[s.Type]++
	}
	switch {
	case count[KernelSection] == 0:
		return refuse("kernel", headerSize, errors.New("missing"))
	case count[CmdlineSection] == 0:
		return refuse("cmdline", headerSize, errors.New("missing"))
	case count[MetadataSection] == 0 && version >= metadataVersion:
		return refuse("metadata", headerSize, fmt.Errorf("missing, version %d must have it", version))
	}
	return nil
}

// checkSection looks at one section, with the number of those of each type that stand before it.
func checkSection(version int, s Section, before map[SectionType]int) error {
	limit, least := s.Size, int64(0)
	switch s.Type {
	case KernelSection:
		least = 1
	case CmdlineSection:
		if before[KernelSection] == 0 {
			return errors.New("stands before the kernel")
		}
		limit = maxCmdline
	case RamdiskSection:
		if before[KernelSection] == 0 || before[CmdlineSection] == 0 {
			return errors.New("stands before the kernel or the cmdline")
		}
	case SignatureSection:
		if version < signatureVersion {
			return fmt.Errorf("version %d does not have it", version)
		}
		limit = maxSignature
	case MetadataSection:
		if version < metadataVersion {
			return fmt.Errorf("version %d does not have it", version)
		}
		limit = maxMetadata
	}
	if s.Type != RamdiskSection && before[s.Type] > 0 {
		return errors.New("stands there a second time")
	}
	if s.Size > limit {
		return fmt.Errorf("%d bytes, at most %d are allowed", s.Size, limit)
	}
	if s.Size < least {
		return errors.New("empty")
	}
	return nil
}
