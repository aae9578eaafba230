// Package lines writes log lines that nothing inside them can split or forge.
package lines

import (
	"fmt"
	"io"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Writer writes one line per call to a stream that several writers share. What is not printable is
// written as the JSON escape \uXXXX: a string of a JSON line decodes to the same value, and neither a terminal
// nor a log collector can be driven by what a peer put into a line. It is safe for concurrent use.
type Writer struct {
	mu sync.Mutex // held for one whole write: lines never interleave
	w  io.Writer
}

// New returns a writer to w.
func New(w io.Writer) *Writer {
	return &Writer{w: w}
}

// Write writes p as one line, in one call, and ends it with "\n" if p does not.
func (w *Writer) Write(p []byte) (int, error) {
	line := p
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	out := append(AppendPrintable(make([]byte, 0, len(line)+1), line), '\n')
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Sync does nothing: lines are not buffered.
func (*Writer) Sync() error { return nil }

// AppendPrintable appends p to dst with every character that is not printable escaped: controls, line and paragraph
// separators, direction marks. A byte that is not UTF-8 is escaped as the character of its value.
func AppendPrintable(dst, p []byte) []byte {
	for len(p) > 0 {
		plain := 0 // most lines are printable ASCII from end to end
		for plain < len(p) && ' ' <= p[plain] && p[plain] <= '~' {
			plain++
		}
		dst, p = append(dst, p[:plain]...), p[plain:]
		if len(p) == 0 {
			return dst
		}
		r, size := utf8.DecodeRune(p)
		switch {
		case r == utf8.RuneError && size == 1:
			dst = fmt.Appendf(dst, `\u%04x`, p[0])
		case unicode.IsPrint(r):
			dst = append(dst, p[:size]...)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		p = p[size:]
	}
	return dst
}
