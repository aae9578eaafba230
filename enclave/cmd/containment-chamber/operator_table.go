package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/policyfile"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// shown is a text of the signer, in quotes if it holds anything that a terminal could take for more than text.
func shown(text string) string {
	if quoted := strconv.QuoteToASCII(text); quoted != `"`+text+`"` {
		return quoted
	}
	return text
}

// printable replaces what JSON leaves in a text and a terminal obeys.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

// printStatus prints a status for people.
func printStatus(out io.Writer, s operator.Status, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	health := "healthy"
	if !s.Healthy {
		health = "NOT HEALTHY"
	}
	row("signer", "%s, build %s, network %s, platform %s", health, shown(s.Build), shown(s.Network), shown(s.Platform))
	row("started", "%s, %s ago", s.Started.Format(time.RFC3339), now.Sub(s.Started).Round(time.Second))
	printSeal(row, s.Seal)
	if a := s.Attestation; a == nil {
		row("attestation", "none")
	} else {
		printAttestation(row, a, now)
	}
	sources := make([]string, 0, len(s.Keys.Sources))
	for _, source := range slices.Sorted(maps.Keys(s.Keys.Sources)) {
		sources = append(sources, fmt.Sprintf("%d from %s", s.Keys.Sources[source], shown(source)))
	}
	row("keys", "%d: %s", s.Keys.Total, strings.Join(sources, ", "))
	for _, c := range s.Checks {
		state := "up"
		if !c.Up {
			state = "DOWN: " + shown(c.Reason)
		}
		if data, err := json.Marshal(c.Data); err == nil && len(c.Data) > 0 {
			state += "  " + strings.Map(printable, string(data))
		}
		row(shown(c.ID), "%s", state)
	}
	return w.Flush()
}

func printAttestation(row func(name, format string, args ...any), a *operator.Attestation, now time.Time) {
	if a.Error != "" {
		row("attestation", "NOT VALID: %s", shown(a.Error))
	}
	if a.Debug {
		row("", "DEBUG MODE: the host reads everything")
	}
	if a.ModuleID != "" {
		row("attestation", "%s, %s old, ends in %s; its certificate in %s", shown(a.ModuleID), time.Duration(a.Age)*time.Second,
			a.NotAfter.Sub(now).Round(time.Second), a.CertificateNotAfter.Sub(now).Round(time.Second))
		row("configuration", "%s", shown(a.ConfigDigest))
	}
	for _, index := range attestation.Registers() {
		if value, ok := a.PCRs[fmt.Sprintf("PCR%d", index)]; ok {
			row(fmt.Sprintf("PCR%d", index), "%s  %s", shown(value), policyfile.Meaning(index))
		}
	}
}
