package attestation_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

type (
	pcr          = attestation.PCR
	measurements = attestation.Measurements
	set          = attestation.Set
)

// one is a policy of one set that names registers alone.
func one(m measurements) attestation.Policy { return attestation.Policy{Sets: []set{{PCRs: m}}} }

func TestPolicyValidate(t *testing.T) {
	anySigned := func(s set) attestation.Policy {
		return attestation.Policy{Sets: []set{s}, AllowAnySignedBuild: true}
	}
	labelled := func(labels ...string) attestation.Policy {
		var p attestation.Policy
		for _, l := range labels {
			p.Sets = append(p.Sets, set{Label: l, PCRs: measurements{0: {1}}})
		}
		return p
	}
	with := func(change func(*attestation.Policy)) attestation.Policy {
		p := one(measurements{0: {1}})
		change(&p)
		return p
	}
	year := func(y int) attestation.Policy {
		return attestation.Policy{Sets: []set{{PCRs: measurements{0: {1}}, Expires: time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC)}}}
	}
	for name, test := range map[string]struct {
		policy attestation.Policy
		words  string // empty: valid
	}{
		"empty":              {attestation.Policy{}, "policy allows no measurements"},
		"PCR0":               {one(measurements{0: {1}}), ""},
		"all registers":      {one(measurements{0: {1}, 1: {1}, 2: {1}, 3: {1}, 8: {1}, 16: {1}}), ""},
		"no role, unsigned":  {one(measurements{0: {1}, 3: {}, 8: {}}), ""},
		"empty set":          {one(measurements{}), "policy, set 0: PCR0 is missing"},
		"second set empty":   {attestation.Policy{Sets: []set{{PCRs: measurements{0: {1}}}, {Label: "next"}}}, `policy, set 1 "next": PCR0 is missing`},
		"PCR8 alone":         {one(measurements{8: {1}}), "set 0: PCR0 is missing"},
		"zero PCR0":          {one(measurements{0: {}}), "PCR0 is zero, which only an enclave in debug mode has"},
		"zero PCR1":          {one(measurements{0: {1}, 1: {}}), "PCR1 is zero"},
		"zero PCR2":          {one(measurements{0: {1}, 2: {}}), "PCR2 is zero"},
		"zero PCR16":         {one(measurements{0: {1}, 16: {}}), "PCR16 is zero: an enclave that was told nothing"},
		"PCR4":               {one(measurements{0: {1}, 4: {1}}), "PCR4 cannot be named"},
		"PCR17":              {one(measurements{0: {1}, 17: {1}}), "PCR17 cannot be named"},
		"PCR32":              {one(measurements{0: {1}, 32: {1}}), "PCR32 cannot be named"},
		"PCR-1":              {one(measurements{0: {1}, -1: {1}}), "PCR-1 cannot be named"},
		"minimum build":      {attestation.Policy{Sets: []set{{PCRs: measurements{0: {1}}, MinBuild: "v1.2.3-rc.1"}}}, ""},
		"no version":         {attestation.Policy{Sets: []set{{PCRs: measurements{0: {1}}, MinBuild: "1.2"}}}, `min_build: "1.2" is not a semantic version`},
		"any signed build":   {anySigned(set{PCRs: measurements{8: {1}}, MinBuild: "1.0.0"}), ""},
		"any, and a set":     {anySigned(set{PCRs: measurements{0: {1}}}), ""},
		"any, no signer":     {anySigned(set{PCRs: measurements{1: {1}}, MinBuild: "1.0.0"}), "neither PCR0 nor PCR8 is named"},
		"any, no build":      {anySigned(set{PCRs: measurements{8: {1}}}), "min_build is missing"},
		"any, zero PCR8":     {anySigned(set{PCRs: measurements{8: {}}, MinBuild: "1.0.0"}), "PCR8 is zero, which means an image that nobody signed"},
		"any, zero PCR3":     {anySigned(set{PCRs: measurements{3: {}, 8: {1}}, MinBuild: "1.0.0"}), "PCR3 is zero, which means an instance without a role"},
		"labels":             {labelled("a", "b", "", ""), ""},
		"same label":         {labelled("a", "b", "a"), `set 2 "a": an earlier set has the same label`},
		"long label":         {labelled(strings.Repeat("ü", 65)), "label: want at most 64 characters"},
		"label of 64":        {labelled(strings.Repeat("ü", 64)), ""},
		"label not UTF-8":    {labelled("\xff"), "label: want at most 64 characters of UTF-8"},
		"label with newline": {labelled("a\nb"), `label: character '\n' is not printable`},
		"year 1999":          {year(1999), "expires: year 1999, want 2000 to 9999"},
		"year 2000":          {year(2000), ""},
		"year 10000":         {year(10000), "expires: year 10000"},
		"certificate":        {with(func(p *attestation.Policy) { p.Proof = attestation.ProofCertificate }), ""},
		"per connection":     {with(func(p *attestation.Policy) { p.Proof = attestation.ProofPerConnection }), ""},
		"other proof":        {with(func(p *attestation.Policy) { p.Proof = "none" }), `proof: "none", want "certificate" or "per-connection"`},
		"negative age":       {with(func(p *attestation.Policy) { p.MaxAge = -time.Second }), "max_age_seconds: -1s"},
		"half a second":      {with(func(p *attestation.Policy) { p.MaxAge = time.Second / 2 }), "max_age_seconds: 500ms"},
		"two years":          {with(func(p *attestation.Policy) { p.MaxAge = 2 * 365 * 24 * time.Hour }), "at most 31536000"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.policy.Validate()
			if test.words == "" && err != nil || test.words != "" && (err == nil || !strings.Contains(err.Error(), test.words)) {
				t.Errorf("got %v, want %q", err, test.words)
			}
			if err != nil { // what is not valid never matches
				honest := &attestation.Document{PCRs: map[int]pcr{0: {1}, 1: {1}, 2: {1}, 8: {1}}}
				if _, checked := test.policy.Check(honest, attestation.Claims{Build: "9.9.9"}, now); checked == nil || checked.Error() != err.Error() {
					t.Errorf("Check says %v, Validate %v", checked, err)
				}
			}
		})
	}
	if err := (attestation.Policy{}).Validate(); !errors.Is(err, attestation.ErrEmptyPolicy) {
		t.Errorf("got %v", err)
	}
}

func TestParsePCR(t *testing.T) {
	digits := strings.Repeat("0a", 48)
	p, err := attestation.ParsePCR(strings.ToUpper(digits))
	if err != nil || p.String() != digits || p.IsZero() || !(pcr{}).IsZero() {
		t.Errorf("got %v, %v", p, err)
	}
	for in, words := range map[string]string{"": "0 characters", digits[1:]: "95 characters", "0x" + digits[2:]: "invalid byte", digits + " ": "97 characters"} {
		if p, err := attestation.ParsePCR(in); err == nil || !strings.Contains(err.Error(), words) || !p.IsZero() {
			t.Errorf("%q: got %v, %v, want %q", in, p, err, words)
		}
	}
}
