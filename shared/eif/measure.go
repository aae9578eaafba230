package eif

import (
	"crypto/sha512"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"sync"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// signerPCR is the register of the signing certificate.
const signerPCR = 8

// chunkSize is how much of a body is in memory at once, in bytes: small enough for a processor's cache, large enough that handing
// it to a second goroutine costs nothing.
const chunkSize = 256 << 10

// extend is what a register that was zero becomes: SHA-384(0^48 || data).
func extend(data []byte) attestation.PCR {
	return sha512.Sum384(append(make([]byte, attestation.PCRSize), data...))
}

// PCR3 is the register of the IAM role of the instance that the enclave runs on, from the role's ARN.
func PCR3(roleARN string) attestation.PCR { return extend([]byte(roleARN)) }

// PCR4 is the register of the instance that the enclave runs on, from the instance's id, i-….
func PCR4(instanceID string) attestation.PCR { return extend([]byte(instanceID)) }

// PCR8 is the register of who signed the image, from the signing certificate in DER.
func PCR8(certificate []byte) attestation.PCR {
	sum := sha512.Sum384(certificate)
	return extend(sum[:])
}

// PCR16 is the register of what the enclave was told, from the SHA-384 digest of its measured configuration.
func PCR16(digest [sha512.Size384]byte) attestation.PCR { return extend(digest[:]) }

// meter goes over a file once.
type meter struct {
	whole, application hash.Hash // over what is in PCR0, and in PCR2
	boot               []byte    // the digest of what is in PCR1, nil before the second ramdisk
	ramdisks           int
	checksum           uint32
	kept               map[SectionType][]byte // the bodies that are read as well as measured
	chunk              []byte
}

// measure reads the bodies. The checksum begins with the headers as they were read before: nothing is read twice.
func measure(r io.ReaderAt, h header, sections []Section) (*meter, error) {
	m := &meter{
		whole: sha512.New384(), application: sha512.New384(),
		kept: map[SectionType][]byte{}, chunk: make([]byte, min(chunkSize, sections[len(sections)-1].end())),
	}
	m.checksum = crc32.ChecksumIEEE(encode(h)[:headerSize-checksumSize])
	for i, s := range sections {
		m.checksum = crc32.Update(m.checksum, crc32.IEEETable, encode(sectionHeader{Type: s.Type, Size: uint64(s.Size)}))
		if err := m.section(r, s); err != nil {
			return nil, refuse(fmt.Sprintf("section %d (%v)", i, s.Type), s.body(), err)
		}
	}
	if m.checksum != h.Checksum {
		return nil, refuse("checksum", checksumOffset, fmt.Errorf("0x%08x, the file has 0x%08x", h.Checksum, m.checksum))
	}
	return m, nil
}

func (m *meter) section(r io.ReaderAt, s Section) error {
	if s.Type == RamdiskSection {
		if m.ramdisks == 1 {
			m.boot = m.whole.Sum(nil)
		}
		m.ramdisks++
	}
	return eachChunk(r, m.chunk, s.body(), s.end(), func(part []byte) error {
		m.add(s, part)
		return nil
	})
}

// eachChunk reads the bytes between two offsets through a buffer, and stops at the first error.
func eachChunk(r io.ReaderAt, buffer []byte, from, to int64, f func(part []byte) error) error {
	for from < to {
		part := buffer[:min(int64(len(buffer)), to-from)]
		if err := read(r, part, from); err != nil {
			return fmt.Errorf("read %d bytes from byte %d: %w", len(part), from, err)
		}
		if err := f(part); err != nil {
			return err
		}
		from += int64(len(part))
	}
	return nil
}

// add takes a part of a body. Ramdisks of the application are in two registers, whose hashes need as long as each other: they run
// side by side.
func (m *meter) add(s Section, part []byte) {
	var both sync.WaitGroup
	if s.Type == RamdiskSection && m.ramdisks > 1 {
		both.Go(func() { m.application.Write(part) })
	}
	if s.Type.measured() {
		m.whole.Write(part)
	}
	m.checksum = crc32.Update(m.checksum, crc32.IEEETable, part)
	if s.Type != KernelSection && s.Type != RamdiskSection { // small, as checkSections made sure
		m.kept[s.Type] = append(m.kept[s.Type], part...)
	}
	both.Wait()
}

// pcrs are the registers that do not depend on who signed.
func (m *meter) pcrs() attestation.Measurements {
	whole := m.whole.Sum(nil)
	boot := m.boot
	if boot == nil {
		boot = whole
	}
	return attestation.Measurements{0: extend(whole), 1: extend(boot), 2: extend(m.application.Sum(nil))}
}
