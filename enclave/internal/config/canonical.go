package config

import (
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxExact is the largest whole number that RFC 8785 can write: numbers are IEEE 754 doubles (RFC 7493, 2.2).
const maxExact = 1<<53 - 1

// appendCanonical appends v as RFC 8785 canonical JSON: no spaces, members sorted by the UTF-16 code units of their names, one
// spelling for each text and number. It takes nil, bool, int64, string, []string, []any and map[string]any of these; fractions do
// not occur in a configuration, and are refused.
func appendCanonical(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int64:
		if v > maxExact || v < -maxExact {
			return nil, fmt.Errorf("%d is not exact in canonical JSON", v)
		}
		return strconv.AppendInt(b, v, 10), nil
	case string:
		return appendText(b, v)
	case []string:
		return appendArray(b, v)
	case []any:
		return appendArray(b, v)
	case map[string]any:
		return appendObject(b, v)
	}
	return nil, fmt.Errorf("%T has no canonical JSON here", v)
}

func appendArray[T any](b []byte, items []T) ([]byte, error) {
	b = append(b, '[')
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendCanonical(b, item); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// appendObject sorts by UTF-16 code units (RFC 8785, 3.2.3), which differs from the order of bytes beyond the basic plane.
func appendObject(b []byte, members map[string]any) ([]byte, error) {
	names := sorted(members)
	slices.SortFunc(names, func(x, y string) int {
		return slices.Compare(utf16.Encode([]rune(x)), utf16.Encode([]rune(y)))
	})
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendText(b, name); err != nil {
			return nil, err
		}
		if b, err = appendCanonical(append(b, ':'), members[name]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendText escapes what RFC 8785, 3.2.2.2 escapes, and nothing else.
func appendText(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("%q is not valid UTF-8", s)
	}
	short := map[rune]byte{'\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r', '"': '"', '\\': '\\'}
	b = append(b, '"')
	for _, r := range s {
		if letter, ok := short[r]; ok {
			b = append(b, '\\', letter)
		} else if r < ' ' {
			b = fmt.Appendf(b, `\u%04x`, r)
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"'), nil
}
