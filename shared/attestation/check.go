package attestation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Check compares a verified document, and what its program claims, at a time; zero is the local clock. It returns the first set that
// matches. The error is that of [Policy.Validate], a [*PolicyError], or an [*Error] about the document's age.
func (p Policy) Check(doc *Document, claims Claims, now time.Time) (Set, error) {
	if now.IsZero() { // which would be before the end of every set
		now = time.Now()
	}
	for index := range imageRegisters {
		if doc.PCRs[index].IsZero() { // an absent register counts as zero
			return Set{}, &PolicyError{Debug: true, Differences: []Difference{{Register: index}}}
		}
	}
	if err := p.Validate(); err != nil {
		return Set{}, err
	}
	set, err := p.match(doc, claims, now)
	if err != nil {
		return Set{}, err
	}
	if want := p.ConfigDigest; want != nil && *want != claims.Config {
		return Set{}, &PolicyError{Config: &claims.Config, WantConfig: want}
	}
	if err := checkAge(doc, now, p.MaxAge); err != nil {
		return Set{}, err
	}
	return set, nil
}

// match finds the first set that matches; if there is none, the error tells about the one that is closest.
func (p Policy) match(doc *Document, claims Claims, now time.Time) (Set, error) {
	var closest *PolicyError
	for i, set := range p.Sets {
		e := set.refusal(doc, claims.Build, now)
		if e.reasons() == 0 {
			return set, nil
		}
		if closest == nil || e.reasons() < closest.reasons() {
			e.Set, e.Label = i, set.Label
			closest = e
		}
	}
	return Set{}, closest
}

// refusal tells everything that keeps the document out of the set.
func (s Set) refusal(doc *Document, build string, now time.Time) *PolicyError {
	e := &PolicyError{}
	for _, index := range slices.Sorted(maps.Keys(s.PCRs)) {
		got, ok := doc.PCRs[index]
		if !ok || got != s.PCRs[index] {
			e.Differences = append(e.Differences, Difference{Register: index, Want: s.PCRs[index], Got: got, Absent: !ok})
		}
	}
	if !s.Expires.IsZero() && !now.Before(s.Expires) {
		e.Expired = s.Expires
	}
	if s.MinBuild != "" && !atLeast(build, s.MinBuild) {
		e.Build, e.MinBuild = build, s.MinBuild
	}
	return e
}

// PolicyError tells why [Policy.Check] refused a document.
type PolicyError struct {
	// Debug is true for an enclave in debug mode; Differences then holds the first register that is zero.
	Debug bool
	// Set is the index of the set that is closest, and Label how the policy calls it. The fields below tell what keeps the document out.
	Set   int
	Label string
	// Differences are the registers that differ, by index.
	Differences []Difference
	// Expired is when the set ended; zero if it has not.
	Expired time.Time
	// MinBuild is the set's if the program claims an older build, namely Build; empty if not.
	Build, MinBuild string
	// Config is the digest that the program claims, WantConfig the policy's, if a set matches but these differ; else nil.
	Config, WantConfig *[48]byte
}

// Difference is one register that has another value than the policy's.
type Difference struct {
	Register  int
	Want, Got PCR
	Absent    bool // the document does not hold the register; 16 to 31 are there only when locked
}

func (e *PolicyError) reasons() int {
	n := len(e.Differences)
	if !e.Expired.IsZero() {
		n++
	}
	if e.MinBuild != "" {
		n++
	}
	return n
}

func (e *PolicyError) Error() string {
	if e.Debug {
		return fmt.Sprintf("measurements refused: PCR%d is zero: the enclave runs in debug mode", e.Differences[0].Register)
	}
	if e.Config != nil {
		return fmt.Sprintf("configuration refused: its digest is %x, want %x", *e.Config, *e.WantConfig)
	}
	var parts []string
	for _, d := range e.Differences {
		parts = append(parts, d.String())
	}
	if e.MinBuild != "" {
		parts = append(parts, fmt.Sprintf("build %.80q is not a version from %s on", e.Build, e.MinBuild))
	}
	if !e.Expired.IsZero() {
		parts = append(parts, "the set expired at "+e.Expired.UTC().Format(time.RFC3339)+" and matches nothing any more")
	}
	return fmt.Sprintf("measurements refused: closest is %s: %s", nameOf(e.Set, e.Label), strings.Join(parts, "; "))
}

func (d Difference) String() string {
	if d.Absent {
		return fmt.Sprintf("PCR%d is absent, want %v", d.Register, d.Want)
	}
	return fmt.Sprintf("PCR%d is %v, want %v", d.Register, d.Got, d.Want)
}
