package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
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
// returns io.EOF, or why reading failed. If that happened within a line, it returns what came of it (the last words of
// an enclave that crashed) with an error that is [ErrLineTruncated], and is the failure too unless that was io.EOF.
func (l *LogReader) Next() (line []byte, cut int, err error) {
	line, err = l.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = bytes.Clone(line[:MaxLogLine-1]) // reading on overwrites the buffer
		cut, err = l.skipLine()
		return line, cut + 1, truncated(err)
	}
	if err == nil {
		return line[:len(line)-1], 0, nil
	}
	if len(line) == 0 {
		return nil, 0, err
	}
	kept := min(len(line), MaxLogLine-1) // one byte less than the buffer, which may have filled as the stream ended
	return line[:kept], len(line) - kept, truncated(err)
}

// skipLine drops the rest of a line and counts its bytes, without the newline.
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

// truncated is the error of a stream that ended within a line.
func truncated(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return ErrLineTruncated
	}
	return fmt.Errorf("%w: %w", ErrLineTruncated, err)
}
