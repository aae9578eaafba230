package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// reader takes typed values out of the merged tree. It remembers which keys it was asked for, and what was wrong.
type reader struct {
	file     string
	values   map[string]any    // leaves are *yaml.Node from the file, string from elsewhere
	origins  map[string]string // keys that environment or flags set
	known    []string
	problems []error
}

// add reports a problem with a key.
func (r *reader) add(path, format string, args ...any) {
	place := r.file
	if origin, ok := r.origins[path]; ok {
		place = origin
	} else if node, ok := r.find(path).(*yaml.Node); ok {
		place = r.at(node)
	}
	r.addAt(place, path, format, args...)
}

func (r *reader) addAt(place, path, format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf("%s: %s: "+format, append([]any{place, printable(path)}, args...)...))
}

func (r *reader) at(node *yaml.Node) string { return r.file + ":" + strconv.Itoa(node.Line) }

// find returns what stands at a path, nil if nothing does.
func (r *reader) find(path string) any {
	var v any = r.values
	for name := range strings.SplitSeq(path, ".") {
		section, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = section[name]
	}
	return v
}

// scalar returns the text of a value, or false if there is none or something else stands there.
func (r *reader) scalar(path, want string) (string, bool) {
	r.known = append(r.known, path)
	switch v := r.find(path).(type) {
	case nil:
		return "", false
	case string:
		return v, true
	case *yaml.Node:
		if v.Kind == yaml.ScalarNode && !isNull(v) {
			return v.Value, true
		}
	}
	r.add(path, "want %s", want)
	return "", false
}

func (r *reader) text(path, fallback string) string {
	v, ok := r.scalar(path, "text")
	if !ok {
		return fallback
	}
	if strings.ContainsFunc(v, unicode.IsControl) {
		r.add(path, "control characters are not accepted")
		return fallback
	}
	return v
}

func (r *reader) boolean(path string, fallback bool) bool {
	const want = "true or false"
	v, ok := r.scalar(path, want)
	if !ok {
		return fallback
	}
	if v != "true" && v != "false" {
		r.add(path, "want "+want)
		return fallback
	}
	return v == "true"
}

func (r *reader) number(path string, fallback, least, most int64) int64 {
	want := fmt.Sprintf("a whole number from %d to %d", least, most)
	v, ok := r.scalar(path, want)
	if !ok {
		return fallback
	}
	n, err := parseNumber(v, least, most)
	if err != nil {
		r.add(path, "%w", err)
		return fallback
	}
	return n
}

// parseNumber takes decimal digits alone, as the enclave does.
func parseNumber(text string, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != text || n < least || n > most {
		return 0, fmt.Errorf("want a whole number from %d to %d", least, most)
	}
	return n, nil
}

func (r *reader) seconds(path string, fallback, least, most int64) time.Duration {
	return time.Duration(r.number(path, fallback, least, most)) * time.Second
}

func (r *reader) choice(path, fallback string, choices ...string) string {
	want := "one of " + strings.Join(choices, ", ")
	v, ok := r.scalar(path, want)
	if !ok {
		return fallback
	}
	if !slices.Contains(choices, v) {
		r.add(path, "want %s", want)
		return ""
	}
	return v
}

func (r *reader) address(path, fallback string) string {
	const want = "an IP address, such as 127.0.0.1"
	v, ok := r.scalar(path, want)
	if !ok {
		return fallback
	}
	if _, err := netip.ParseAddr(v); err != nil {
		r.add(path, "want %s", want)
		return fallback
	}
	return v
}

// production refuses platform simulated where PRODUCTION is true. A misspelt value must not mean a laptop.
func (r *reader) production(simulated bool, environ []string) {
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if name != "PRODUCTION" {
			continue
		}
		switch strings.ToLower(value) {
		case "true", "1":
			if simulated {
				r.add("tee.platform", "simulated is refused with PRODUCTION=true: it protects nothing")
			}
		case "false", "0", "":
		default:
			r.addAt("environment", "PRODUCTION", "want true or false")
		}
	}
}

// section returns the keys of a top section, none if it is absent or empty, and false if something else stands there.
func (r *reader) section(name string) (map[string]any, bool) {
	switch v := r.values[name].(type) {
	case nil:
		return nil, true
	case map[string]any:
		return v, true
	case *yaml.Node:
		return nil, isNull(v)
	}
	return nil, false
}

// unknown reports every key below the sections that is not known.
func (r *reader) unknown(sections ...string) {
	for _, name := range sections {
		keys, ok := r.section(name)
		if !ok {
			r.add(name, "want a mapping of keys")
		}
		r.unknownBelow(name, keys)
	}
}

func (r *reader) unknownBelow(prefix string, section map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(section)) {
		path := prefix + "." + name
		inner, isSection := section[name].(map[string]any)
		node, isNode := section[name].(*yaml.Node)
		switch {
		case slices.Contains(r.known, path): // its type is the reader's matter
		case !slices.Contains(r.names(), path):
			r.add(path, "unknown key, nearest known: %s", nearest(path, r.names()))
		case isSection:
			r.unknownBelow(path, inner)
		case !isNode || !isNull(node):
			r.add(path, "want a mapping of keys")
		}
	}
}

// names are the known keys and the sections that they are in, without the top ones.
func (r *reader) names() []string {
	names := slices.Clone(r.known)
	for _, path := range r.known {
		if section := path[:strings.LastIndexByte(path, '.')]; strings.Contains(section, ".") {
			names = append(names, section)
		}
	}
	return names
}
