package keymanager

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// unquote is the value of a JSON string that is known to be valid, written over it: no value is longer than its string. So a password is where
// the body is, and nowhere else.
func unquote(raw []byte) []byte {
	in := raw[1 : len(raw)-1]
	out := in[:0]
	for n := 0; n < len(in); n++ {
		if in[n] != '\\' {
			out = append(out, in[n])
			continue
		}
		n++
		switch in[n] {
		case 'u':
			r, more := rune16(in[n+1:])
			n += more
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, escaped(in[n]))
		}
	}
	return out
}

// escaped is what a letter after a backslash stands for.
func escaped(letter byte) byte {
	switch letter {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return letter // a quote, a backslash or a slash
}

// rune16 is the character of four hexadecimal digits after \u, or of two such escapes that are halves of one, and how many bytes it takes. A
// half without the other is the replacement character.
func rune16(text []byte) (r rune, size int) {
	r = digits(text[:4])
	if !utf16.IsSurrogate(r) {
		return r, 4
	}
	if len(text) >= 10 && text[4] == '\\' && text[5] == 'u' {
		if both := utf16.DecodeRune(r, digits(text[6:10])); both != utf8.RuneError {
			return both, 10
		}
	}
	return utf8.RuneError, 4
}

func digits(four []byte) rune {
	n, _ := strconv.ParseUint(string(four), 16, 16) // four hexadecimal digits, as the string is valid
	return rune(n)
}
