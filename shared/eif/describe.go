package eif

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Description is a file as people want to see it, as text or as JSON. Strings come from the file: only what is measured is what an
// attestation document speaks of.
type Description struct {
	Version  int                  `json:"version"`
	Arch     string               `json:"architecture"`
	Size     int64                `json:"size_bytes"`
	Memory   uint64               `json:"default_memory_bytes"`
	CPUs     uint64               `json:"default_cpus"`
	PCRs     map[string]string    `json:"pcrs"` // "PCR0" and so on, 96 hexadecimal digits
	Cmdline  string               `json:"cmdline"`
	Sections []SectionDescription `json:"sections"`
	Signer   *SignerDescription   `json:"signer,omitempty"`
	// Metadata is not measured: anybody can change it without a trace in any register.
	Metadata json.RawMessage `json:"unmeasured_metadata,omitempty"`
}

// SectionDescription is one section of a file.
type SectionDescription struct {
	Type     string   `json:"type"`
	Offset   int64    `json:"offset"`
	Size     int64    `json:"size_bytes"`
	Measured []string `json:"measured_in,omitempty"` // the registers that its bytes are in
}

// SignerDescription is who signed a file. The signature is good; whether the certificate is one to trust is what PCR8 is for.
type SignerDescription struct {
	Algorithm   string    `json:"algorithm"`
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Serial      string    `json:"serial"` // hexadecimal
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Fingerprint string    `json:"certificate_sha256"`
}

// Describe tells everything that is known of the file.
func (f *File) Describe() Description {
	d := Description{
		Version: f.Version, Arch: f.Arch.String(), Size: f.Size, Memory: f.Memory, CPUs: f.CPUs,
		PCRs: map[string]string{}, Cmdline: f.Cmdline, Metadata: printable(f.Metadata),
	}
	for i, value := range f.PCRs {
		d.PCRs[fmt.Sprintf("PCR%d", i)] = value.String()
	}
	ramdisks := 0
	for _, s := range f.Sections {
		if s.Type == RamdiskSection {
			ramdisks++
		}
		d.Sections = append(d.Sections, SectionDescription{s.Type.String(), s.Offset, s.Size, measuredIn(s.Type, ramdisks)})
	}
	if f.Signer != nil {
		c := f.Signer.Certificate
		sum := sha256.Sum256(c.Raw)
		d.Signer = &SignerDescription{
			Algorithm: f.Signer.Algorithm, Subject: c.Subject.String(), Issuer: c.Issuer.String(), Serial: c.SerialNumber.Text(16),
			NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), Fingerprint: hex.EncodeToString(sum[:]),
		}
	}
	return d
}

// measuredIn are the registers of a section; of a ramdisk, the number of those up to it counts.
func measuredIn(t SectionType, ramdisks int) []string {
	switch {
	case !t.measured():
		return nil
	case ramdisks > 1:
		return []string{"PCR0", "PCR2"}
	}
	return []string{"PCR0", "PCR1"}
}

// String is the description in lines, with quotes around what is the file's own words.
func (d Description) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "enclave image, version %d, for %s, %d bytes; default memory %d bytes, default CPUs %d\n",
		d.Version, d.Arch, d.Size, d.Memory, d.CPUs)
	for _, name := range slices.Sorted(maps.Keys(d.PCRs)) {
		fmt.Fprintf(&out, "%s %s\n", name, d.PCRs[name])
	}
	fmt.Fprintf(&out, "cmdline %q\n", d.Cmdline)
	for i, s := range d.Sections {
		where := "not measured"
		if len(s.Measured) > 0 {
			where = "in " + strings.Join(s.Measured, " and ")
		}
		fmt.Fprintf(&out, "section %d at %d: %s of %d bytes, %s\n", i, s.Offset, s.Type, s.Size, where)
	}
	if s := d.Signer; s == nil {
		fmt.Fprintln(&out, "not signed")
	} else {
		fmt.Fprintf(&out, "signed with %s by the key of certificate %s, which says: subject %q, issuer %q, serial %s, from %s to %s\n",
			s.Algorithm, s.Fingerprint, s.Subject, s.Issuer, s.Serial, s.NotBefore.Format(time.RFC3339), s.NotAfter.Format(time.RFC3339))
	}
	if len(d.Metadata) > 0 {
		fmt.Fprintf(&out, "metadata, NOT MEASURED, anybody can change it: %s\n", d.Metadata)
	}
	return out.String()
}
