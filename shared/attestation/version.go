package attestation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxVersion is the longest version in bytes.
const maxVersion = 128

// version is a semantic version (semver.org, 2.0.0). Numbers stay text, so that none is too large.
type version struct {
	core [3]string // major, minor, patch
	pre  []string  // pre-release identifiers; a version with any comes before the one without
}

// parseVersion reads MAJOR.MINOR.PATCH with an optional pre-release and build metadata, and, as tags are written, an optional v before
// it. Build metadata does not count.
func parseVersion(s string) (version, error) {
	refuse := fmt.Errorf("%.80q is not a semantic version, such as 1.2.3", s)
	if len(s) > maxVersion {
		return version{}, refuse
	}
	rest, metadata, hasMetadata := strings.Cut(strings.TrimPrefix(s, "v"), "+")
	if hasMetadata && !allFunc(strings.Split(metadata, "."), isIdentifier) {
		return version{}, refuse
	}
	numbers, pre, hasPre := strings.Cut(rest, "-")
	var v version
	core := strings.Split(numbers, ".")
	if len(core) != len(v.core) || !allFunc(core, isNumber) {
		return version{}, refuse
	}
	copy(v.core[:], core)
	if hasPre {
		v.pre = strings.Split(pre, ".")
		if !allFunc(v.pre, func(id string) bool { return isIdentifier(id) && (!allDigits(id) || isNumber(id)) }) {
			return version{}, refuse
		}
	}
	return v, nil
}

func allFunc(parts []string, good func(string) bool) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !good(part) })
}

func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// isNumber allows no leading zero.
func isNumber(s string) bool { return allDigits(s) && (s == "0" || s[0] != '0') }

func isIdentifier(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// atLeast tells whether a claimed version is one and not below the least, which is one.
func atLeast(claimed, least string) bool {
	c, err := parseVersion(claimed)
	if err != nil {
		return false
	}
	l, err := parseVersion(least)
	return err == nil && c.compare(l) >= 0
}

// compare orders versions as section 11 of the specification says.
func (v version) compare(w version) int {
	if order := slices.CompareFunc(v.core[:], w.core[:], compareNumbers); order != 0 {
		return order
	}
	if len(v.pre) == 0 || len(w.pre) == 0 {
		return cmp.Compare(len(w.pre), len(v.pre)) // the one without is the later
	}
	return slices.CompareFunc(v.pre, w.pre, compareIdentifiers)
}

func compareNumbers(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// compareIdentifiers puts numbers before names.
func compareIdentifiers(a, b string) int {
	switch x, y := allDigits(a), allDigits(b); {
	case x && y:
		return compareNumbers(a, b)
	case x:
		return -1
	case y:
		return 1
	}
	return cmp.Compare(a, b)
}
