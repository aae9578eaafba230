package attestation

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxPolicy is the largest policy file in bytes; a thousand sets fit.
const MaxPolicy = 1 << 20

// ParsePolicy reads a policy in JSON:
//
//	{
//	  "sets": [
//	    {
//	      "label": "0.1.0",
//	      "pcrs": {"PCR0": "…96 hexadecimal digits…", "PCR3": "…", "PCR16": "…"},
//	      "expires": "2027-01-01T00:00:00Z",
//	      "min_build": "0.1.0"
//	    }
//	  ],
//	  "allow_any_signed_build": false,
//	  "proof": "certificate",
//	  "max_age_seconds": 7200,
//	  "config_digest": "…96 hexadecimal digits…"
//	}
//
// Only sets and pcrs must be there. Names are exact; unknown and repeated ones, null and trailing text are refused. The error names set
// and field, and what [Policy.Validate] refuses is refused.
func ParsePolicy(text []byte) (Policy, error) {
	p, err := readPolicy(text)
	if err != nil {
		return Policy{}, fmt.Errorf("policy, %w", err)
	}
	if err := p.Validate(); err != nil {
		return Policy{}, err
	}
	return p, nil
}

func readPolicy(text []byte) (p Policy, err error) {
	if len(text) > MaxPolicy {
		return p, fmt.Errorf("%d bytes, at most %d are allowed", len(text), MaxPolicy)
	}
	if err := checkJSON(text); err != nil {
		return p, err
	}
	err = eachField(text, func(name string, value json.RawMessage) (err error) {
		switch name {
		case "sets":
			p.Sets, err = readSets(value)
			return err // names the set
		case "allow_any_signed_build":
			p.AllowAnySignedBuild, err = readBool(value)
		case "proof":
			var proof string
			if proof, err = readString(value); err == nil && proof == "" {
				err = fmt.Errorf("empty, want %q or %q", ProofCertificate, ProofPerConnection)
			}
			p.Proof = Proof(proof)
		case "max_age_seconds":
			p.MaxAge, err = readSeconds(value)
		case "config_digest":
			var digest PCR
			digest, err = readDigest(value)
			p.ConfigDigest = (*[48]byte)(&digest)
		default:
			return fmt.Errorf("unknown field %.40q", name)
		}
		return inField(name, err)
	})
	return p, err
}

func readSets(value json.RawMessage) ([]Set, error) {
	items, err := readArray(value)
	if err != nil {
		return nil, inField("sets", err)
	}
	var out []Set
	for i, item := range items {
		set, err := readSet(item)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", nameOf(i, set.Label), err)
		}
		out = append(out, set)
	}
	return out, nil
}

// readSet returns the label with an error too, if it has been read by then.
func readSet(value json.RawMessage) (s Set, err error) {
	err = eachField(value, func(name string, value json.RawMessage) (err error) {
		switch name {
		case "label":
			s.Label, err = readString(value)
			if err == nil {
				return checkLabel(s.Label) // names the field
			}
		case "pcrs":
			s.PCRs, err = readRegisters(value)
		case "expires":
			s.Expires, err = readTime(value)
		case "min_build":
			if s.MinBuild, err = readString(value); err == nil && s.MinBuild == "" {
				err = errors.New("empty, want a semantic version, such as 1.2.3")
			}
		default:
			return fmt.Errorf("unknown field %.40q", name)
		}
		return inField(name, err)
	})
	if err == nil && s.PCRs == nil {
		err = errors.New("pcrs: missing")
	}
	return s, err
}

func readRegisters(value json.RawMessage) (Measurements, error) {
	out := Measurements{}
	err := eachField(value, func(name string, value json.RawMessage) error {
		digits, ok := strings.CutPrefix(name, "PCR")
		index, err := strconv.Atoi(digits)
		if !ok || err != nil || strconv.Itoa(index) != digits {
			return fmt.Errorf("unknown field %.40q, want PCR0, PCR1 and so on", name)
		}
		out[index], err = readDigest(value)
		return inField(name, err)
	})
	return out, err
}

// readDigest reads 96 hexadecimal digits, which is what a register and a digest of a configuration are.
func readDigest(value json.RawMessage) (PCR, error) {
	text, err := readString(value)
	if err != nil {
		return PCR{}, err
	}
	return ParsePCR(text)
}

func readTime(value json.RawMessage) (time.Time, error) {
	text, err := readString(value)
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is no time such as 2027-01-01T00:00:00Z (RFC 3339)", text)
	}
	if at.IsZero() { // in a Set that would be never
		return time.Time{}, errors.New("year 1, want 2000 to 9999")
	}
	return at.UTC(), nil
}

// policyJSON is the canonical form of a policy: the fields in this order.
type policyJSON struct {
	Sets                []setJSON `json:"sets"`
	AllowAnySignedBuild bool      `json:"allow_any_signed_build,omitempty"`
	Proof               Proof     `json:"proof"`
	MaxAgeSeconds       int64     `json:"max_age_seconds,omitempty"`
	ConfigDigest        string    `json:"config_digest,omitempty"`
}

type setJSON struct {
	Label    string          `json:"label,omitempty"`
	PCRs     json.RawMessage `json:"pcrs"`
	Expires  string          `json:"expires,omitempty"`
	MinBuild string          `json:"min_build,omitempty"`
}

// Marshal writes a valid policy in its canonical form, which [ParsePolicy] reads: fields and registers in their order, times in UTC,
// digits in lower case, indented by two spaces. Equal policies have equal forms.
func (p Policy) Marshal() ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	form := policyJSON{AllowAnySignedBuild: p.AllowAnySignedBuild, Proof: p.Proof, MaxAgeSeconds: int64(p.MaxAge / time.Second)}
	if form.Proof == "" {
		form.Proof = ProofCertificate
	}
	if p.ConfigDigest != nil {
		form.ConfigDigest = hex.EncodeToString(p.ConfigDigest[:])
	}
	for _, set := range p.Sets {
		s := setJSON{Label: set.Label, PCRs: set.PCRs.marshal(), MinBuild: set.MinBuild}
		if !set.Expires.IsZero() {
			s.Expires = set.Expires.UTC().Format(time.RFC3339Nano)
		}
		form.Sets = append(form.Sets, s)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(form); err != nil {
		return nil, fmt.Errorf("encode policy: %w", err)
	}
	return out.Bytes(), nil
}

// marshal writes the registers in their order, which a map of strings would not keep: PCR16 comes before PCR2 there.
func (m Measurements) marshal() json.RawMessage {
	var fields []string
	for _, index := range Registers() {
		if value, ok := m[index]; ok {
			fields = append(fields, fmt.Sprintf("%q: %q", fmt.Sprintf("PCR%d", index), value.String()))
		}
	}
	return json.RawMessage("{" + strings.Join(fields, ", ") + "}")
}
