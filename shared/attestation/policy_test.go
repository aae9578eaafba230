package attestation_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

type (
	pcr          = attestation.PCR
	measurements = attestation.Measurements
)

func TestPolicyValidate(t *testing.T) {
	for name, test := range map[string]struct {
		allowed []measurements
		words   string // empty: valid
	}{
		"empty":            {nil, "policy allows no measurements"},
		"PCR0":             {[]measurements{{0: {1}}}, ""},
		"zero PCR3":        {[]measurements{{0: {1}, 3: {}, 8: {}, 31: {}}}, ""},
		"empty set":        {[]measurements{{}}, "set 0: PCR0 is missing"},
		"second set empty": {[]measurements{{0: {1}}, nil}, "set 1: PCR0 is missing"},
		"PCR8 alone":       {[]measurements{{8: {1}}}, "set 0: PCR0 is missing"},
		"zero PCR0":        {[]measurements{{0: {}}}, "PCR0 is zero"},
		"zero PCR1":        {[]measurements{{0: {1}, 1: {}}}, "PCR1 is zero"},
		"zero PCR2":        {[]measurements{{0: {1}, 2: {}}}, "PCR2 is zero"},
		"PCR32":            {[]measurements{{0: {1}, 32: {1}}}, "PCR32 does not exist"},
		"PCR-1":            {[]measurements{{0: {1}, -1: {1}}}, "PCR-1 does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			p := attestation.Policy{Allowed: test.allowed}
			err := p.Validate()
			if test.words == "" && err != nil || test.words != "" && (err == nil || !strings.Contains(err.Error(), test.words)) {
				t.Errorf("got %v, want %q", err, test.words)
			}
			checked := p.Check(&attestation.Document{PCRs: map[int]pcr{0: {1}, 1: {1}, 2: {1}}})
			if err != nil && (checked == nil || checked.Error() != err.Error()) {
				t.Errorf("Check gives %v, want the error of Validate", checked)
			}
		})
	}
	if err := (attestation.Policy{}).Check(&attestation.Document{}); !errors.Is(err, attestation.ErrEmptyPolicy) {
		t.Errorf("empty policy: %v", err)
	}
}

func TestPolicyCheck(t *testing.T) {
	image := map[int]pcr{0: {1}, 1: {2}, 2: {3}, 3: {4}}
	other := func(index int, value pcr) map[int]pcr {
		out := map[int]pcr{index: value}
		for i, v := range image {
			if i != index {
				out[i] = v
			}
		}
		return out
	}
	without := other(1, pcr{})
	delete(without, 1)
	all := measurements{0: {1}, 1: {2}, 2: {3}, 3: {4}}
	for name, test := range map[string]struct {
		allowed []measurements
		pcrs    map[int]pcr
		want    *attestation.PolicyError
	}{
		"equal":            {[]measurements{all}, image, nil},
		"PCR0 alone":       {[]measurements{{0: {1}}}, image, nil},
		"second set":       {[]measurements{{0: {9}}, all}, image, nil},
		"unnamed register": {[]measurements{{0: {1}}}, other(16, pcr{7}), nil},
		"debug PCR0":       {[]measurements{all}, other(0, pcr{}), debugIn(0)},
		"debug PCR1":       {[]measurements{{0: {1}}}, other(1, pcr{}), debugIn(1)},
		"debug PCR2":       {[]measurements{{0: {1}}}, other(2, pcr{}), debugIn(2)},
		"without PCR1":     {[]measurements{{0: {1}}}, without, debugIn(1)},
		"no registers":     {[]measurements{{0: {1}}}, nil, debugIn(0)},
		"PCR3 differs": {[]measurements{all}, other(3, pcr{5}), &attestation.PolicyError{
			Differences: []attestation.Difference{{Register: 3, Want: pcr{4}, Got: pcr{5}}},
		}},
		"zero PCR3 wanted, absent PCR16": {[]measurements{{0: {1}, 16: {}}}, image, &attestation.PolicyError{
			Differences: []attestation.Difference{{Register: 16, Absent: true}},
		}},
		"closest is the second": {[]measurements{{0: {9}, 1: {9}}, {0: {8}, 1: {2}}, {0: {7}}}, image, &attestation.PolicyError{
			Set: 1, Differences: []attestation.Difference{{Register: 0, Want: pcr{8}, Got: pcr{1}}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			err := attestation.Policy{Allowed: test.allowed}.Check(&attestation.Document{PCRs: test.pcrs})
			if test.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			got, _ := errors.AsType[*attestation.PolicyError](err)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%v: %s", err, diff)
			}
		})
	}
}

func debugIn(register int) *attestation.PolicyError {
	return &attestation.PolicyError{Debug: true, Differences: []attestation.Difference{{Register: register}}}
}

func TestPolicyErrorWords(t *testing.T) {
	for want, e := range map[string]*attestation.PolicyError{
		"measurements refused: PCR2 is zero: the enclave runs in debug mode": debugIn(2),
		"measurements refused: closest is set 3: PCR0 is 02" + strings.Repeat("00", 47) + ", want 01" + strings.Repeat("00", 47) +
			"; PCR16 is absent, want 03" + strings.Repeat("00", 47): {Set: 3, Differences: []attestation.Difference{
			{Want: pcr{1}, Got: pcr{2}}, {Register: 16, Want: pcr{3}, Absent: true},
		}},
	} {
		if e.Error() != want {
			t.Errorf("got %q, want %q", e.Error(), want)
		}
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
