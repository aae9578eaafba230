package policyfile

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// Meaning says in a few words what a register of a document stands for.
func Meaning(register int) string {
	switch register {
	case 0:
		return "the image"
	case 1:
		return "its kernel and boot ramdisk"
	case 2:
		return "its application"
	case 3:
		return "the IAM role of the instance"
	case 4:
		return "the instance"
	case 8:
		return "who signed the image"
	case 16:
		return "what the enclave was told: its measured configuration"
	}
	return "no meaning"
}

// Format writes a valid policy in YAML, which Parse reads, with what each register means. The comment, of any lines, stands above it.
func Format(p attestation.Policy, comment string) ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for line := range strings.Lines(comment) {
		fmt.Fprintf(&out, "# %s\n", strings.TrimRight(line, "\n"))
	}
	out.WriteString("sets:\n")
	for _, set := range p.Sets {
		for i, line := range setLines(set) {
			indent := "    "
			if i == 0 {
				indent = "  - "
			}
			out.WriteString(indent + line + "\n")
		}
	}
	if p.AllowAnySignedBuild {
		out.WriteString("allow_any_signed_build: true\n")
	}
	if p.Proof != "" {
		fmt.Fprintf(&out, "proof: %s\n", p.Proof)
	}
	if p.MaxAge > 0 {
		fmt.Fprintf(&out, "max_age_seconds: %d\n", p.MaxAge/time.Second)
	}
	if p.ConfigDigest != nil {
		fmt.Fprintf(&out, "config_digest: %q\n", hex.EncodeToString(p.ConfigDigest[:]))
	}
	return out.Bytes(), nil
}

func setLines(set attestation.Set) (lines []string) {
	if set.Label != "" {
		lines = append(lines, "label: "+string(quote(set.Label)))
	}
	lines = append(lines, "pcrs:")
	for _, index := range attestation.Registers() {
		if value, ok := set.PCRs[index]; ok {
			lines = append(lines, fmt.Sprintf("  PCR%d: %q # %s", index, value.String(), zeroOr(index, value)))
		}
	}
	if !set.Expires.IsZero() {
		lines = append(lines, fmt.Sprintf("expires: %q", set.Expires.UTC().Format(time.RFC3339Nano)))
	}
	if set.MinBuild != "" {
		lines = append(lines, "min_build: "+string(quote(set.MinBuild)))
	}
	return lines
}

// zeroOr is what a value means where zero has a meaning of its own.
func zeroOr(register int, value attestation.PCR) string {
	switch {
	case value.IsZero() && register == 3:
		return "the instance has no IAM role"
	case value.IsZero() && register == 8:
		return "nobody signed the image"
	}
	return Meaning(register)
}
