package attestation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrEmptyPolicy is returned for a policy that allows no set of measurements.
var ErrEmptyPolicy = errors.New("policy allows no measurements: name at least one set")

// Measurements are the registers that must have exactly these values, by index.
type Measurements map[int]PCR

// Proof is how a server must prove that it is the one its document speaks of.
type Proof string

// The proofs.
const (
	// ProofCertificate takes the document in the TLS certificate for proof, as long as the enclave alone holds the certificate's key.
	ProofCertificate Proof = "certificate"
	// ProofPerConnection asks for a new document on each connection, so that a key that was stolen is worth nothing elsewhere.
	ProofPerConnection Proof = "per-connection"
)

// Policy is what a document must say. The zero value allows nothing.
type Policy struct {
	// Sets are alternatives: all registers of one of them must match.
	Sets []Set
	// AllowAnySignedBuild lets a set go without PCR0, if it names PCR8, who signed the image, and a minimum build. Every image that
	// this signer ever signs is then accepted from that build on.
	AllowAnySignedBuild bool
	// Proof is demanded by package atls; empty is [ProofCertificate].
	Proof Proof
	// MaxAge is how long ago the document may have been made, in whole seconds and at most a year; 0 leaves it to the end of its
	// certificates, about three hours.
	MaxAge time.Duration
	// ConfigDigest is what the program must say it was configured with, SHA-384; nil is not checked.
	ConfigDigest *[48]byte
}

// Set is one enclave that is allowed. PCR0, 1 and 2 tell the image, PCR3 the role of the instance, PCR8 who signed the image, PCR16
// what the enclave was told. A public image has the same PCR0, 1, 2 and 8 in a stranger's account: only PCR3 and PCR16 tell the
// two apart.
type Set struct {
	// Label is how errors call the set, at most 64 printable characters; empty is allowed, the same twice is not.
	Label string
	// PCRs may be any of 0, 1, 2, 3, 8 and 16. Zero for PCR3 means that the instance has no role, for PCR8 that the image is not signed;
	// both count only beside PCR0, for alone they describe every stranger. Zero is refused for the others: PCR0, 1 and 2 are zero in debug
	// mode, PCR16 when the enclave was told nothing.
	PCRs Measurements
	// Expires is the first moment at which the set matches nothing any more, in the years 2000 to 9999; zero is never.
	Expires time.Time
	// MinBuild is the lowest version that the program may claim to be, a semantic version; empty is any.
	MinBuild string
}

// Claims are what the measured program says about itself in a document's user_data; package atls reads them there.
type Claims struct {
	Build  string   // its version, empty if it tells none
	Config [48]byte // SHA-384 of its measured configuration
}

const (
	// imageRegisters are all zero in debug mode, in which the parent can read the enclave's console.
	imageRegisters = 3

	registerRole   = 3
	registerSigner = 8

	maxLabel = 64
)

// Registers are those that a policy may name, in their order. The others are reserved, or differ from instance to instance.
func Registers() []int { return []int{0, 1, 2, registerRole, registerSigner, 16} }

// Validate refuses a policy that cannot be meant, or would accept too much: without any set, with a set that does not name
// PCR0 and is not one of [Policy.AllowAnySignedBuild], or with a zero register, as [Set] says.
func (p Policy) Validate() error {
	if len(p.Sets) == 0 {
		return ErrEmptyPolicy
	}
	labels := map[string]bool{}
	for i, set := range p.Sets {
		if err := set.validate(p.AllowAnySignedBuild); err != nil {
			return fmt.Errorf("policy, %s: %w", nameOf(i, set.Label), err)
		}
		if set.Label != "" && labels[set.Label] {
			return fmt.Errorf("policy, %s: an earlier set has the same label", nameOf(i, set.Label))
		}
		labels[set.Label] = true
	}
	switch p.Proof {
	case "", ProofCertificate, ProofPerConnection:
	default:
		return fmt.Errorf("policy, proof: %.40q, want %q or %q", string(p.Proof), ProofCertificate, ProofPerConnection)
	}
	if p.MaxAge < 0 || p.MaxAge > maxSeconds*time.Second || p.MaxAge%time.Second != 0 {
		return fmt.Errorf("policy, max_age_seconds: %v, want whole seconds, at most %d", p.MaxAge, maxSeconds)
	}
	return nil
}

func nameOf(set int, label string) string {
	if label == "" {
		return fmt.Sprintf("set %d", set)
	}
	return fmt.Sprintf("set %d %.*q", set, maxLabel, label)
}

func (s Set) validate(anySigned bool) error {
	if err := checkLabel(s.Label); err != nil {
		return err
	}
	for _, index := range slices.Sorted(maps.Keys(s.PCRs)) {
		if !slices.Contains(Registers(), index) {
			return fmt.Errorf("PCR%d cannot be named, only 0, 1, 2, 3, 8 and 16 can", index)
		}
		if s.PCRs[index].IsZero() {
			if err := s.zero(index); err != nil {
				return err
			}
		}
	}
	if s.MinBuild != "" {
		if _, err := parseVersion(s.MinBuild); err != nil {
			return fmt.Errorf("min_build: %w", err)
		}
	}
	if year := s.Expires.UTC().Year(); !s.Expires.IsZero() && (year < 2000 || year > 9999) {
		return fmt.Errorf("expires: year %d, want 2000 to 9999", year)
	}
	_, image := s.PCRs[0]
	_, signer := s.PCRs[registerSigner]
	switch {
	case image:
		return nil
	case !anySigned:
		return errors.New("PCR0 is missing")
	case !signer:
		return errors.New("neither PCR0 nor PCR8 is named")
	case s.MinBuild == "":
		return errors.New("min_build is missing, and without PCR0 every old build of this signer would do")
	}
	return nil
}

// zero judges a register whose value is zero.
func (s Set) zero(index int) error {
	_, image := s.PCRs[0]
	switch {
	case index < imageRegisters:
		return fmt.Errorf("PCR%d is zero, which only an enclave in debug mode has", index)
	case index == registerRole && !image:
		return errors.New("PCR3 is zero, which means an instance without a role, and counts only beside PCR0")
	case index == registerSigner && !image:
		return errors.New("PCR8 is zero, which means an image that nobody signed, and counts only beside PCR0")
	case index == registerRole || index == registerSigner:
		return nil
	}
	return fmt.Errorf("PCR%d is zero: an enclave that was told nothing is not one to trust; leave it out", index)
}

func checkLabel(label string) error {
	if !utf8.ValidString(label) || utf8.RuneCountInString(label) > maxLabel {
		return fmt.Errorf("label: want at most %d characters of UTF-8", maxLabel)
	}
	for _, r := range label {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("label: character %q is not printable", r)
		}
	}
	return nil
}
