package attestation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrEmptyPolicy is returned for a policy that allows no set of measurements.
var ErrEmptyPolicy = errors.New("policy allows no measurements: name at least one set")

// Measurements are the registers that must have exactly these values, by index.
type Measurements map[int]PCR

// Policy is what a document must say. PCR0, 1 and 2 tell the image, PCR3 the role of the instance, PCR8 who signed the image,
// PCR16 what the enclave was told. A public image has the same PCR0, 1, 2 and 8 in a stranger's account: only PCR3 and PCR16 tell
// the two apart.
type Policy struct {
	// Allowed are alternatives: all registers of one of them must match. Each names PCR0.
	Allowed []Measurements
}

// imageRegisters are all zero in debug mode, in which the parent can read the enclave's console.
const imageRegisters = 3

// Validate refuses a policy that would accept too much: without any set, with a set that does not name PCR0, or that names
// zero for PCR0, 1 or 2, the mark of debug mode.
func (p Policy) Validate() error {
	if len(p.Allowed) == 0 {
		return ErrEmptyPolicy
	}
	for i, set := range p.Allowed {
		if _, ok := set[0]; !ok {
			return fmt.Errorf("policy, set %d: PCR0 is missing", i)
		}
		for _, index := range slices.Sorted(maps.Keys(set)) {
			switch {
			case index < 0 || index >= registers:
				return fmt.Errorf("policy, set %d: PCR%d does not exist, the last is PCR%d", i, index, registers-1)
			case index < imageRegisters && set[index].IsZero():
				return fmt.Errorf("policy, set %d: PCR%d is zero, which only an enclave in debug mode has", i, index)
			}
		}
	}
	return nil
}

// Check compares a verified document. The error is that of [Policy.Validate], or a [*PolicyError].
func (p Policy) Check(doc *Document) error {
	if err := p.Validate(); err != nil {
		return err
	}
	for index := range imageRegisters {
		if doc.PCRs[index].IsZero() { // an absent register counts as zero
			return &PolicyError{Debug: true, Differences: []Difference{{Register: index}}}
		}
	}
	var closest *PolicyError
	for i, set := range p.Allowed {
		d := set.differences(doc)
		if len(d) == 0 {
			return nil
		}
		if closest == nil || len(d) < len(closest.Differences) {
			closest = &PolicyError{Set: i, Differences: d}
		}
	}
	return closest
}

func (m Measurements) differences(doc *Document) []Difference {
	var out []Difference
	for _, index := range slices.Sorted(maps.Keys(m)) {
		got, ok := doc.PCRs[index]
		if !ok || got != m[index] {
			out = append(out, Difference{Register: index, Want: m[index], Got: got, Absent: !ok})
		}
	}
	return out
}

// PolicyError tells why [Policy.Check] refused a document.
type PolicyError struct {
	// Debug is true for an enclave in debug mode; Differences then holds the first register that is zero.
	Debug bool
	// Set is the index of the allowed set that differs in the fewest registers, and Differences are these, by index.
	Set         int
	Differences []Difference
}

// Difference is one register that has another value than the policy's.
type Difference struct {
	Register  int
	Want, Got PCR
	Absent    bool // the document does not hold the register; 16 to 31 are there only when locked
}

func (e *PolicyError) Error() string {
	if e.Debug {
		return fmt.Sprintf("measurements refused: PCR%d is zero: the enclave runs in debug mode", e.Differences[0].Register)
	}
	parts := make([]string, len(e.Differences))
	for i, d := range e.Differences {
		parts[i] = fmt.Sprintf("PCR%d is %v, want %v", d.Register, d.Got, d.Want)
		if d.Absent {
			parts[i] = fmt.Sprintf("PCR%d is absent, want %v", d.Register, d.Want)
		}
	}
	return fmt.Sprintf("measurements refused: closest is set %d: %s", e.Set, strings.Join(parts, "; "))
}
