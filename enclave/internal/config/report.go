package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxProblems bounds what a hostile file can make us compute and print.
const maxProblems = 20

// report collects what is wrong, so that all of it is told at once.
type report struct {
	problems []error
	left     int             // not told, above maxProblems
	wrong    map[string]bool // keys with a problem: rules that build on their values are not applied
}

// add reports a problem of key. The place is empty for a key that nobody set, and the key for
// what is no key.
func (r *report) add(place, key, format string, args ...any) {
	if r.wrong == nil {
		r.wrong = make(map[string]bool)
	}
	for name, more := key, len(key) <= maxName; more && name != ""; { // a longer one is no key, and may have very many sections
		r.wrong[name] = true // and its sections
		i := strings.LastIndexByte(name, '.')
		more, name = i > 0, name[:max(i, 0)]
	}
	if len(r.problems) == maxProblems {
		r.left++
		return
	}
	r.problems = append(r.problems, fmt.Errorf("%s"+format, append([]any{prefix(place, key)}, args...)...))
}

// unknown reports a name that is no key. The nearest key counts as wrong too: it was probably meant, so that
// "must be set" beside it would only confuse.
func (r *report) unknown(place, name string, keys *schema) {
	if len(r.problems) == maxProblems {
		r.left++
		return
	}
	near := nearest(name, append(sorted(keys.byName), sorted(keys.sections)...))
	r.add(place, name, "unknown key, nearest known: %s", near)
	r.wrong[near] = true
}

func (r *report) err() error {
	if r.left > 0 {
		return errors.Join(append(r.problems, fmt.Errorf("and %d more problems", r.left))...)
	}
	return errors.Join(r.problems...)
}

// prefix begins a problem: the place, if a source set the key, and the key.
func prefix(place, key string) string {
	if strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789_.") != "" || len(key) > maxName {
		key = quote(key)
	}
	text := ""
	for _, part := range []string{place, key} {
		if part != "" {
			text += part + ": "
		}
	}
	return text
}

// maxName is the most characters of a foreign name that are compared and printed.
const maxName = 64

func clip(s string) []rune {
	runes := []rune(s)
	return runes[:min(len(runes), maxName)]
}

// quote makes a foreign name safe to print.
func quote(s string) string { return strconv.Quote(string(clip(s))) }

// nearest returns the name with the smallest edit distance to s, the first of several.
func nearest(s string, names []string) string {
	return slices.MinFunc(names, func(a, b string) int { return distance(s, a) - distance(s, b) })
}

// distance is the Levenshtein distance: the fewest insertions, deletions and replacements between a and b.
func distance(a, b string) int {
	from, to := clip(a), clip(b)
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range from {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range to {
			replace := diagonal
			if x != y {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(to)]
}
