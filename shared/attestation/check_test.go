package attestation_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// image is what the documents of the tests below hold.
var image = map[int]pcr{0: {1}, 1: {2}, 2: {3}, 3: {4}, 4: {5}, 8: {6}}

// other is image with one register changed.
func other(index int, value pcr) map[int]pcr {
	out := map[int]pcr{index: value}
	for i, v := range image {
		if i != index {
			out[i] = v
		}
	}
	return out
}

func debugIn(register int) *attestation.PolicyError {
	return &attestation.PolicyError{Debug: true, Differences: []attestation.Difference{{Register: register}}}
}

func TestPolicyCheckRegisters(t *testing.T) {
	without := other(1, pcr{})
	delete(without, 1)
	roleless := other(3, pcr{})
	delete(roleless, 3)
	all := measurements{0: {1}, 1: {2}, 2: {3}, 3: {4}}
	sets := func(m ...measurements) (out []set) {
		for _, m := range m {
			out = append(out, set{PCRs: m})
		}
		return out
	}
	for name, test := range map[string]struct {
		sets []set
		pcrs map[int]pcr
		want *attestation.PolicyError
	}{
		"equal":            {sets(all), image, nil},
		"PCR0 alone":       {sets(measurements{0: {1}}), image, nil},
		"second set":       {sets(measurements{0: {9}}, all), image, nil},
		"unnamed register": {sets(measurements{0: {1}}), other(16, pcr{7}), nil},
		"PCR16":            {sets(measurements{0: {1}, 16: {7}}), other(16, pcr{7}), nil},
		"unsigned image":   {sets(measurements{0: {1}, 8: {}}), other(8, pcr{}), nil},
		"no role":          {sets(measurements{0: {1}, 3: {}}), other(3, pcr{}), nil},
		"debug PCR0":       {sets(all), other(0, pcr{}), debugIn(0)},
		"debug PCR1":       {sets(measurements{0: {1}}), other(1, pcr{}), debugIn(1)},
		"debug PCR2":       {sets(measurements{0: {1}}), other(2, pcr{}), debugIn(2)},
		"without PCR1":     {sets(measurements{0: {1}}), without, debugIn(1)},
		"no registers":     {sets(measurements{0: {1}}), nil, debugIn(0)},
		"PCR3 differs": {sets(all), other(3, pcr{5}), &attestation.PolicyError{
			Differences: []attestation.Difference{{Register: 3, Want: pcr{4}, Got: pcr{5}}},
		}},
		"a stranger's signature": {sets(measurements{0: {1}, 8: {}}), image, &attestation.PolicyError{
			Differences: []attestation.Difference{{Register: 8, Got: pcr{6}}},
		}},
		"absent PCR16": {sets(measurements{0: {1}, 16: {7}}), image, &attestation.PolicyError{
			Differences: []attestation.Difference{{Register: 16, Want: pcr{7}, Absent: true}},
		}},
		"absent PCR3 is not no role": {sets(measurements{0: {1}, 3: {}}), roleless, &attestation.PolicyError{
			Differences: []attestation.Difference{{Register: 3, Absent: true}},
		}},
		"closest is the second": {sets(measurements{0: {9}, 1: {9}}, measurements{0: {8}, 1: {2}}, measurements{0: {7}}), image, &attestation.PolicyError{
			Set: 1, Differences: []attestation.Difference{{Register: 0, Want: pcr{8}, Got: pcr{1}}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := attestation.Policy{Sets: test.sets}.Check(&attestation.Document{PCRs: test.pcrs}, attestation.Claims{}, now)
			got, _ := errors.AsType[*attestation.PolicyError](err)
			if diff := cmp.Diff(test.want, got); diff != "" || (err == nil) != (test.want == nil) {
				t.Errorf("%v: %s", err, diff)
			}
		})
	}
}

func TestPolicyCheckRest(t *testing.T) {
	doc := &attestation.Document{PCRs: image, Timestamp: now}
	digest := [48]byte{7}
	soon := now.Add(time.Hour)
	old := set{Label: "old", PCRs: measurements{0: {1}}, Expires: now}
	current := set{Label: "current", PCRs: measurements{0: {1}}, Expires: soon}
	signed := set{Label: "signed", PCRs: measurements{8: {6}}, MinBuild: "1.2.0"}
	anySigned := func(p attestation.Policy) attestation.Policy { p.AllowAnySignedBuild = true; return p }
	for name, test := range map[string]struct {
		policy attestation.Policy
		claims attestation.Claims
		now    time.Time // zero: the local clock
		set    string    // that matches
		words  string    // of the error
	}{
		"not expired":       {attestation.Policy{Sets: []set{current}}, attestation.Claims{}, soon.Add(-1), "current", ""},
		"expired":           {attestation.Policy{Sets: []set{current}}, attestation.Claims{}, soon, "", `closest is set 0 "current": the set expired at 2026-03-01T13:00:00Z and matches nothing any more`},
		"expired and next":  {attestation.Policy{Sets: []set{old, current}}, attestation.Claims{}, now, "current", ""},
		"both expired":      {attestation.Policy{Sets: []set{old, current}}, attestation.Claims{}, soon, "", `set 0 "old": the set expired`},
		"expired and other": {attestation.Policy{Sets: []set{{PCRs: measurements{0: {9}}, Expires: now}}}, attestation.Claims{}, now, "", "PCR0 is 01"},
		"build":             {anySigned(attestation.Policy{Sets: []set{signed}}), attestation.Claims{Build: "1.2.0"}, now, "signed", ""},
		"newer build":       {anySigned(attestation.Policy{Sets: []set{signed}}), attestation.Claims{Build: "v1.10.0"}, now, "signed", ""},
		"older build":       {anySigned(attestation.Policy{Sets: []set{signed}}), attestation.Claims{Build: "1.1.99"}, now, "", `build "1.1.99" is not a version from 1.2.0 on`},
		"release candidate": {anySigned(attestation.Policy{Sets: []set{signed}}), attestation.Claims{Build: "1.2.0-rc.1"}, now, "", `build "1.2.0-rc.1" is not`},
		"no build":          {anySigned(attestation.Policy{Sets: []set{signed}}), attestation.Claims{}, now, "", `build "" is not`},
		"no version":        {anySigned(attestation.Policy{Sets: []set{signed}}), attestation.Claims{Build: "latest"}, now, "", `build "latest" is not`},
		"other signer": {
			anySigned(attestation.Policy{Sets: []set{{PCRs: measurements{8: {9}}, MinBuild: "1.0.0"}}}),
			attestation.Claims{Build: "1.2.0"},
			now, "", "PCR8 is 06",
		},
		"configuration":       {attestation.Policy{Sets: []set{current}, ConfigDigest: &digest}, attestation.Claims{Config: digest}, now, "current", ""},
		"other configuration": {attestation.Policy{Sets: []set{current}, ConfigDigest: &digest}, attestation.Claims{Config: [48]byte{8}}, now, "", "configuration refused: its digest is 08"},
		"as old as may be":    {attestation.Policy{Sets: []set{current}, MaxAge: time.Minute}, attestation.Claims{}, now.Add(time.Minute), "current", ""},
		"too old":             {attestation.Policy{Sets: []set{current}, MaxAge: time.Minute}, attestation.Claims{}, now.Add(61 * time.Second), "", "1m1s ago, at most 1m0s is allowed"},
		"from the future":     {attestation.Policy{Sets: []set{current}, MaxAge: time.Minute}, attestation.Claims{}, now.Add(-31 * time.Second), "", "31s in the future"},
		"expired by the local clock": {
			attestation.Policy{Sets: []set{{Label: "ancient", PCRs: measurements{0: {1}}, Expires: time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)}}},
			attestation.Claims{},
			time.Time{},
			"", `set 0 "ancient": the set expired at 2000-01-02T00:00:00Z`,
		},
		"not expired by the local clock": {
			attestation.Policy{Sets: []set{{Label: "lasting", PCRs: measurements{0: {1}}, Expires: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}}},
			attestation.Claims{},
			time.Time{},
			"lasting", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.policy.Check(doc, test.claims, test.now)
			if got.Label != test.set || test.words == "" && err != nil || test.words != "" && (err == nil || !strings.Contains(err.Error(), test.words)) {
				t.Errorf("got set %q, error %v, want %q, %q", got.Label, err, test.set, test.words)
			}
		})
	}
}

func TestPolicyErrorWords(t *testing.T) {
	for want, e := range map[string]*attestation.PolicyError{
		"measurements refused: PCR2 is zero: the enclave runs in debug mode": debugIn(2),
		`measurements refused: closest is set 3 "blue": PCR0 is 02` + strings.Repeat("00", 47) + ", want 01" + strings.Repeat("00", 47) +
			"; PCR16 is absent, want 03" + strings.Repeat("00", 47) + `; build "0.9.0" is not a version from 1.0.0 on` +
			"; the set expired at 2026-03-01T12:00:00Z and matches nothing any more": {
			Set: 3, Label: "blue", Build: "0.9.0", MinBuild: "1.0.0", Expired: now,
			Differences: []attestation.Difference{{Want: pcr{1}, Got: pcr{2}}, {Register: 16, Want: pcr{3}, Absent: true}},
		},
	} {
		if e.Error() != want {
			t.Errorf("got %q, want %q", e.Error(), want)
		}
	}
}
