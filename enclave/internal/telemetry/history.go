package telemetry

import (
	"bytes"
	"slices"
)

// What is kept of the log in memory for who asks what happened: the last lines, and the first, which tell how the process was started.
const (
	maxKept       = 2000
	maxKeptBytes  = 1 << 20
	maxFirst      = 200
	maxFirstBytes = 128 << 10
)

// history keeps copies of lines that were logged. It is used by one goroutine at a time.
type history struct {
	first      []byte // whole lines
	firstLines int

	ring  []byte // the last lines, the oldest from start on, around the end
	start int
	size  int // bytes in use
	lines int
}

func newHistory() *history { return &history{ring: make([]byte, maxKeptBytes)} }

// add keeps a line, which ends with its only line break. Older ones make room.
func (h *history) add(line []byte) {
	if len(line) > len(h.ring) {
		return // never: a line is far shorter
	}
	if h.firstLines < maxFirst && len(h.first)+len(line) <= maxFirstBytes {
		h.first = append(h.first, line...)
		h.firstLines++
	} else {
		h.firstLines = maxFirst // a shorter one later would leave a gap
	}
	for h.lines == maxKept || h.size+len(line) > len(h.ring) {
		h.drop()
	}
	at := (h.start + h.size) % len(h.ring)
	n := copy(h.ring[at:], line)
	copy(h.ring, line[n:])
	h.size += len(line)
	h.lines++
}

// drop forgets the oldest line.
func (h *history) drop() {
	head, tail := h.halves()
	n := bytes.IndexByte(head, '\n') + 1
	if n == 0 {
		n = len(head) + bytes.IndexByte(tail, '\n') + 1
	}
	h.start = (h.start + n) % len(h.ring)
	h.size -= n
	h.lines--
}

// halves are the bytes in use, up to the end of the ring and from its beginning.
func (h *history) halves() (head, tail []byte) {
	end := h.start + h.size
	if end <= len(h.ring) {
		return h.ring[h.start:end], nil
	}
	return h.ring[h.start:], h.ring[:end-len(h.ring)]
}

// last is a copy of the last lines.
func (h *history) last() []byte { return slices.Concat(h.halves()) }

// Kept returns the log as far as it is in memory, one line after the other: the first 200 lines of the process, at most 128 KiB, and the
// last 2,000, at most 1 MiB. Lines that did not leave the process are among them.
func (l *Logs) Kept() (first, last []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.history.first), l.history.last()
}
