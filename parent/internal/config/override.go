package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"
)

const environPrefix = "CONTAINMENT_"

// serviceVariable matches what Kubernetes puts into every container for a Service named containment-…, as
// CONTAINMENT_CHAMBER_PORT_9000_TCP: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables.
const serviceVariable = `^CONTAINMENT(_[A-Z0-9]+)+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9]+)*|PORT=[a-z]+://.*|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)(=|$)`

// assignment is one value from outside the file. It stays text: the enclave knows the type of each of its keys.
type assignment struct{ origin, path, value string }

// override lays environment and flags over the file's values and returns where each overridden key comes from.
func override(merged *koanf.Koanf, environ, sets []string) (map[string]string, error) {
	flags, flagErr := fromFlags(sets)
	origins := make(map[string]string)
	problems := []error{flagErr}
	variables := fromEnvironment(environ)
	for i, a := range append(variables, flags...) {
		if earlier, twice := origins[a.path]; twice && i < len(variables) {
			problems = append(problems, fmt.Errorf("%s: %s: set twice, also by %s", a.origin, a.path, earlier))
			continue
		}
		if err := a.fits(merged); err != nil {
			problems = append(problems, err)
			continue
		}
		if err := merged.Set(a.path, a.value); err != nil {
			problems = append(problems, fmt.Errorf("%s: %s: %w", a.origin, a.path, err))
		}
		origins[a.path] = a.origin
	}
	return origins, errors.Join(problems...)
}

// fromEnvironment reads the variables that begin with CONTAINMENT_: two underscores stand for the dot, and case does not
// matter after the prefix. They come in the order of their names, so that errors do too.
func fromEnvironment(environ []string) []assignment {
	var out []assignment
	service := regexp.MustCompile(serviceVariable)
	for _, variable := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(variable, "=")
		rest, ours := strings.CutPrefix(name, environPrefix)
		if !ours || service.MatchString(variable) {
			continue
		}
		path := strings.ReplaceAll(strings.ToLower(rest), "__", ".")
		out = append(out, assignment{"environment " + printable(name), path, value})
	}
	return out
}

// fromFlags reads "key.path=value". Of two for one key the later counts, as with other flags.
func fromFlags(sets []string) ([]assignment, error) {
	var out []assignment
	var problems []error
	for _, set := range sets {
		path, value, found := strings.Cut(set, "=")
		if !found {
			problems = append(problems, fmt.Errorf("flag --set %s: want KEY.PATH=VALUE", printable(path)))
			continue
		}
		out = append(out, assignment{"flag --set", path, value})
	}
	return out, errors.Join(problems...)
}

// fits reports whether a names a value, not a section nor something inside a value.
func (a assignment) fits(merged *koanf.Koanf) error {
	path := strings.Split(a.path, ".")
	if slices.Contains(path, "") {
		return fmt.Errorf("%s: %s: a part of the key is empty", a.origin, printable(a.path))
	}
	if !utf8.ValidString(a.value) {
		return fmt.Errorf("%s: %s: not valid UTF-8", a.origin, printable(a.path))
	}
	for i := 1; i < len(path); i++ {
		section := strings.Join(path[:i], ".")
		switch v := merged.Get(section).(type) {
		case nil, map[string]any:
		case *yaml.Node:
			if !isNull(v) {
				return fmt.Errorf("%s: %s: %s is a value, not a section", a.origin, printable(a.path), printable(section))
			}
		default:
			return fmt.Errorf("%s: %s: %s is a value, not a section", a.origin, printable(a.path), printable(section))
		}
	}
	if _, section := merged.Get(a.path).(map[string]any); section {
		return fmt.Errorf("%s: %s: is a section, want a key in it", a.origin, printable(a.path))
	}
	return nil
}
