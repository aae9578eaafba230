package attestation

import (
	"cmp"
	"strings"
	"testing"
)

// The order of section 11 of the specification, with more around it.
func TestVersionOrder(t *testing.T) {
	ordered := []string{
		"0.0.0", "0.0.9", "0.0.10", "0.2.0", "0.10.0", "1.0.0-0", "1.0.0-2", "1.0.0-10", "1.0.0--", "1.0.0-0a", "1.0.0-RC.1", "1.0.0-alpha", "1.0.0-alpha.1",
		"1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1-0.20260301-abcdef", "1.0.1",
		"2.0.0", "99999999999999999999.0.0", "100000000000000000000.0.0",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			for _, claimed := range []string{a, "v" + a, a + "+build.1"} {
				v, err := parseVersion(claimed)
				if err != nil {
					t.Fatal(err)
				}
				w, err := parseVersion(b)
				if err != nil {
					t.Fatal(err)
				}
				if got := v.compare(w); got != cmp.Compare(i, j) {
					t.Errorf("%s against %s: %d", claimed, b, got)
				}
				if atLeast(claimed, b) != (i >= j) {
					t.Errorf("%s is at least %s: %v", claimed, b, i < j)
				}
			}
		}
	}
}

func TestVersionRefused(t *testing.T) {
	for _, s := range []string{
		"", "v", "1", "1.2", "1.2.3.4", "01.2.3", "1.02.3", "1.2.03", "1.2.x", "1..3", ".2.3", "-1.2.3", "1.2.3-", "1.2.3-a..b", "1.2.3-01", "1.2.3-a_b", "1.2.3+", "1.2.3+a..b",
		"1.2.3+a+b", " 1.2.3", "1.2.3 ", "vv1.2.3", "V1.2.3", "1.2.3-ü", "1.2.٣", strings.Repeat("1", 125) + ".0.0",
	} {
		if _, err := parseVersion(s); err == nil || atLeast(s, "0.0.0") || atLeast("9.0.0", s) {
			t.Errorf("%q: accepted, error %v", s, err)
		}
	}
}
