package config

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the most characters of a foreign name that are compared and printed.
const maxName = 64

func clip(s string) []rune {
	runes := []rune(s)
	return runes[:min(len(runes), maxName)]
}

// printable returns s, or s clipped and quoted if printing it could forge a line or flood one.
func printable(s string) string {
	if !utf8.ValidString(s) || len(s) > 4*maxName || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(string(clip(s)))
	}
	return s
}

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
