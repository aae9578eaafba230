package atls

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// ErrNotRemembered is found with [errors.Is] when nothing is remembered of a signer.
var ErrNotRemembered = errors.New("nothing is remembered of this signer")

// Trust says what a server is held to: the record of a name in a store. A server is refused while there is no record; whoever wants to
// trust what answers looks at it with [Observe] and calls [TrustStore.Remember]. That is no defence the first time.
type Trust struct {
	Store *TrustStore
	Name  string // 1 to 253 printable characters; a host name with its port, say
}

func (t *Trust) check() error {
	if t.Store == nil || t.Store.Path == "" {
		return errors.New("trust: no store is named")
	}
	return checkName(t.Name)
}

const maxName = 253

func checkName(name string) error {
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("trust: name %.40q, want 1 to %d printable characters", name, maxName)
	}
	return nil
}

// TrustRecord is what is remembered of a signer.
type TrustRecord struct {
	// PCRs are those of the registers 0, 1, 2, 3, 8 and 16 that its document held.
	PCRs attestation.Measurements
	// FirstSeen is when it was remembered, to the second, UTC.
	FirstSeen time.Time
	// Build is the version that the program claimed then. It may change while the registers do not.
	Build string
}

// recordOf takes the registers of a document that a policy may name.
func recordOf(doc *attestation.Document, build string, now time.Time) TrustRecord {
	r := TrustRecord{PCRs: attestation.Measurements{}, FirstSeen: now.UTC().Truncate(time.Second), Build: build}
	for _, index := range attestation.Registers() {
		if value, ok := doc.PCRs[index]; ok {
			r.PCRs[index] = value
		}
	}
	return r
}

// changed are the registers in which two records differ.
func (r TrustRecord) changed(other TrustRecord) []int {
	var out []int
	for _, index := range attestation.Registers() {
		was, had := r.PCRs[index]
		is, has := other.PCRs[index]
		if had != has || was != is {
			out = append(out, index)
		}
	}
	return out
}

// TrustError tells that a signer is another than the one that was remembered.
type TrustError struct {
	Name string
	Was  TrustRecord // what was remembered
	Is   TrustRecord // what the document holds now; FirstSeen is the time of the check
}

// Error shows old and new side by side, a line for each register that differs.
func (e *TrustError) Error() string {
	lines := []string{fmt.Sprintf("%s is not what was remembered of it at %s", e.Name, e.Was.FirstSeen.Format(time.RFC3339))}
	for _, index := range e.Was.changed(e.Is) {
		lines = append(lines, fmt.Sprintf("  %-5s was %s  is %s", fmt.Sprintf("PCR%d", index), valueOf(e.Was, index), valueOf(e.Is, index)))
	}
	lines = append(lines, fmt.Sprintf("  build was %-96q  is %q", e.Was.Build, e.Is.Build))
	return strings.Join(lines, "\n")
}

// valueOf is as wide as a register, so that values stand in columns.
func valueOf(r TrustRecord, index int) string {
	if value, ok := r.PCRs[index]; ok {
		return value.String()
	}
	return fmt.Sprintf("%-*s", 2*attestation.PCRSize, "absent")
}
