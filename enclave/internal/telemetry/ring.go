package telemetry

import (
	"bytes"
	"sync"
)

// ring is a bounded queue of whole lines with any number of writers and one reader. A line stays until the reader has
// released it.
type ring struct {
	maxBytes int
	filled   chan struct{} // holds a token while lines may have come since the reader looked

	mu       sync.Mutex // held while any of these is read or changed
	maxLines int
	lines    [][]byte // the oldest first
	bytes    int      // of all lines
}

func newRing(maxLines, maxBytes int) *ring {
	return &ring{maxLines: maxLines, maxBytes: maxBytes, filled: make(chan struct{}, 1)}
}

// resize changes how many lines may wait. Those that wait already stay.
func (r *ring) resize(maxLines int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.maxLines = maxLines
}

// push adds a copy of line, or returns false when there is no room.
func (r *ring) push(line []byte) bool {
	r.mu.Lock()
	full := len(r.lines) >= r.maxLines || r.bytes+len(line) > r.maxBytes
	if !full {
		r.lines = append(r.lines, bytes.Clone(line))
		r.bytes += len(line)
	}
	r.mu.Unlock()
	if full {
		return false
	}
	select {
	case r.filled <- struct{}{}:
	default: // the reader will look anyway
	}
	return true
}

// batch appends the oldest lines to buf[:0], at most limit bytes unless one line alone is longer. The lines stay in the ring.
func (r *ring) batch(buf []byte, limit int) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	buf = buf[:0]
	for i, line := range r.lines {
		if i > 0 && len(buf)+len(line) > limit {
			break
		}
		buf = append(buf, line...)
	}
	return buf
}

// release removes the lines that the first n bytes of the last batch cover whole.
func (r *ring) release(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.lines) > 0 && n >= len(r.lines[0]) {
		size := len(r.lines[0])
		n -= size
		r.bytes -= size
		r.lines[0] = nil // the memory is free before the slice grows anew
		r.lines = r.lines[1:]
	}
}

// size is how many lines and bytes wait.
func (r *ring) size() (lines, size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.lines), r.bytes
}
