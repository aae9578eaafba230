package atls

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

const (
	// maxTrustFile is the largest file in bytes; more than a thousand signers fit.
	maxTrustFile = 1 << 20
	// trustVersion is that of the file's form. A change of meaning needs the next.
	trustVersion = 1
)

// trustFile is the file: signers sorted by name, indented by two spaces.
type trustFile struct {
	Version int           `json:"version"`
	Signers []trustSigner `json:"signers"`
}

type trustSigner struct {
	Name      string    `json:"name"`
	FirstSeen time.Time `json:"first_seen"`
	Build     string    `json:"build"`
	PCRs      trustPCRs `json:"pcrs"`
}

// trustPCRs keeps the registers in their order.
type trustPCRs struct {
	PCR0  string `json:"PCR0"`
	PCR1  string `json:"PCR1"`
	PCR2  string `json:"PCR2"`
	PCR3  string `json:"PCR3,omitempty"`
	PCR8  string `json:"PCR8,omitempty"`
	PCR16 string `json:"PCR16,omitempty"`
}

func (p *trustPCRs) fields() map[int]*string {
	return map[int]*string{0: &p.PCR0, 1: &p.PCR1, 2: &p.PCR2, 3: &p.PCR3, 8: &p.PCR8, 16: &p.PCR16}
}

func marshalTrust(all map[string]TrustRecord) ([]byte, error) {
	file := trustFile{Version: trustVersion, Signers: []trustSigner{}}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r := all[name]
		signer := trustSigner{Name: name, FirstSeen: r.FirstSeen.UTC(), Build: r.Build}
		for index, field := range signer.PCRs.fields() {
			if value, ok := r.PCRs[index]; ok {
				*field = value.String()
			}
		}
		file.Signers = append(file.Signers, signer)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(file); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	if out.Len() > maxTrustFile {
		return nil, fmt.Errorf("%d signers do not fit into %d bytes", len(all), maxTrustFile)
	}
	return out.Bytes(), nil
}

// parseTrust reads what marshalTrust wrote, and nothing else, so that a damaged file is noticed.
func parseTrust(text []byte, now time.Time) (map[string]TrustRecord, error) {
	var version struct{ Version int }
	if err := json.Unmarshal(text, &version); err != nil {
		return nil, fmt.Errorf("damaged: %w", err)
	}
	if version.Version > trustVersion {
		return nil, fmt.Errorf("version %d is of a newer release, this one knows %d", version.Version, trustVersion)
	}
	var file trustFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("damaged: %w", err)
	}
	all := map[string]TrustRecord{}
	for _, s := range file.Signers {
		r, err := s.record(now)
		if err != nil {
			return nil, fmt.Errorf("signer %.*q: %w", maxName, s.Name, err)
		}
		all[s.Name] = r
	}
	again, err := marshalTrust(all)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(text, again) {
		return nil, errors.New("damaged: not in the form in which it was written")
	}
	return all, nil
}

func (s trustSigner) record(now time.Time) (TrustRecord, error) {
	r := TrustRecord{PCRs: attestation.Measurements{}, FirstSeen: s.FirstSeen.UTC(), Build: s.Build}
	if err := checkName(s.Name); err != nil {
		return r, err
	}
	if s.FirstSeen.After(now.Add(attestation.Leeway)) {
		return r, fmt.Errorf("was first seen at %s, which is in the future: this clock is wrong, or the file is", s.FirstSeen.Format(time.RFC3339))
	}
	if s.FirstSeen.Year() < 2000 || s.FirstSeen.Nanosecond() != 0 {
		return r, fmt.Errorf("damaged: first_seen is %s", s.FirstSeen.Format(time.RFC3339Nano))
	}
	if len(s.Build) > maxBuild || !utf8.ValidString(s.Build) {
		return r, fmt.Errorf("damaged: build of %d bytes", len(s.Build))
	}
	for index, field := range s.PCRs.fields() {
		if *field == "" {
			continue
		}
		value, err := attestation.ParsePCR(*field)
		if err != nil {
			return r, fmt.Errorf("damaged: PCR%d: %w", index, err)
		}
		r.PCRs[index] = value
	}
	for index := range 3 {
		if r.PCRs[index].IsZero() {
			return r, fmt.Errorf("damaged: PCR%d is missing or zero", index)
		}
	}
	return r, nil
}
