package wire

import (
	"bufio"
	"errors"
	"io"
)

// The log stream on [PortLogs]: one JSON object per line, ended by "\n", no prefix. The enclave writes, the
// parent reads; nothing flows back.

// ErrLineTruncated says that the stream ended within a line.
var ErrLineTruncated = errors.New("log stream ended within a line")

// LogReader reads the lines of one log stream in bounded memory.
type LogReader struct{ r *bufio.Reader }

// NewLogReader returns a reader of r.
func NewLogReader(r io.Reader) *LogReader {
	return &LogReader{r: bufio.NewReaderSize(r, MaxLogLine)}
}

// Next returns the next line without its newline, and how many of its bytes were cut off because the
// line, with its newline, was longer than [MaxLogLine]. The line is valid until the next call. After the last line it
// returns io.EOF; if the stream ended within a line it returns what came of it with [ErrLineTruncated].
func (l *LogReader) Next() (line []byte, cut int, err error) {
	line, err = l.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = append([]byte(nil), line[:MaxLogLine-1]...)
		cut, err = l.skipLine()
		cut++ // the last byte of the full buffer
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, err
		}
		return line, cut, nil
	}
	if errors.Is(err, io.EOF) && len(line) > 0 {
		return line, 0, ErrLineTruncated
	}
	if err != nil {
		return nil, 0, err
	}
	return line[:len(line)-1], 0, nil
}

// skipLine drops the rest of a line and counts its bytes.
func (l *LogReader) skipLine() (int, error) {
	skipped := 0
	for {
		rest, err := l.r.ReadSlice('\n')
		skipped += len(rest)
		if err == nil {
			return skipped - 1, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return skipped, err
		}
	}
}
