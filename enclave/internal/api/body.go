package api

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// Sizes of bodies, in bytes. What is signed has one to a few KiB, an aggregate at its limit 32 KiB of text; only an execution
// payload is large: EIP-7934 caps a block at 10 MiB of RLP, which is twice that in hexadecimal digits.
const (
	MaxBody   = 32 << 20
	freeBody  = 16 << 10  // what every request may have; above, memory is counted
	startBody = 4 << 10   // of a body whose length is not known, or above freeBody
	maxMemory = 256 << 20 // of all bodies above freeBody together
)

// A body above freeBody has this time from the moment its memory is counted, and more for what has come: slower than this nobody
// may hold what others need. A smaller one has the time of the whole request, readTimeout.
const (
	largeGrace  = 5 * time.Second
	largePerMiB = time.Second
)

// ReadBody returns the body of a request, at most MaxBody bytes, which are the caller's until its handler returns. The server has
// read it before the handler began. The error is a problem: TooLarge; Malformed, if the body broke off or came too slowly; or
// Overloaded, if there is no memory for it.
func ReadBody(r *http.Request) ([]byte, error) {
	b, ok := r.Body.(*body)
	switch {
	case ok:
		return b.data, b.err
	case r.Body == nil:
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1)) // no server has been here: a handler alone, no body, or an operator's
	switch {
	case err != nil:
		return nil, unreadable(err)
	case len(data) > MaxBody:
		return nil, tooLarge()
	}
	return data, nil
}

// body is the body of one request in memory, or what came of it and why there is no more.
type body struct {
	data   []byte
	err    error     // a problem
	read   int       // how much of data was read by Read
	memory *places   // bytes
	held   int64     // of memory: the capacity of data if that is above freeBody
	began  time.Time // when the first was held
}

// Read is for handlers that decode from a reader.
func (b *body) Read(p []byte) (int, error) {
	n := copy(p, b.data[b.read:])
	b.read += n
	switch {
	case b.read < len(b.data) || len(p) == 0:
		return n, nil
	case b.err != nil:
		return n, b.err
	}
	return n, io.EOF
}

func (b *body) Close() error { return nil }

// receive reads the body of r, or returns nil if it has none.
func (l *Limits) receive(w http.ResponseWriter, r *http.Request) *body {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	b := &body{memory: &l.memory}
	b.err = b.fill(w, r)
	return b
}

func (b *body) fill(w http.ResponseWriter, r *http.Request) error {
	if r.ContentLength > MaxBody {
		return tooLarge()
	}
	start := startBody
	if n := r.ContentLength; n >= 0 && n < freeBody {
		start = int(n) + 1 // one more, for the read that finds the end
	}
	b.data = make([]byte, 0, start)
	for {
		if len(b.data) == cap(b.data) {
			if err := b.grow(w); err != nil {
				return err
			}
		}
		n, err := r.Body.Read(b.data[len(b.data):cap(b.data)])
		b.data = b.data[:len(b.data)+n]
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return unreadable(err)
		}
	}
}

// grow doubles the buffer as bytes come, whatever length was declared.
func (b *body) grow(w http.ResponseWriter) error {
	if cap(b.data) > MaxBody {
		return tooLarge()
	}
	size := 2 * cap(b.data)
	if size >= MaxBody {
		size = MaxBody + 1 // one more, for the read that finds the end
	}
	held := b.held
	if size > freeBody {
		if !b.memory.take(int64(size)) {
			return problem.New(problem.Overloaded, "too many bodies above %d bytes at once", freeBody)
		}
		b.held = int64(size)
		b.hurry(w)
	}
	data := make([]byte, len(b.data), size)
	copy(data, b.data)
	clear(b.data)
	b.data = data
	b.memory.leave(held) // not before: while it grows, a body is there twice
	return nil
}

// hurry sets the time by which a body that holds memory must be here.
func (b *body) hurry(w http.ResponseWriter) {
	if b.began.IsZero() {
		b.began = time.Now()
	}
	allowed := largeGrace + largePerMiB*time.Duration(len(b.data)>>20)
	_ = http.NewResponseController(w).SetReadDeadline(b.began.Add(allowed)) // the server's own holds where it cannot
}

// release overwrites the body, which may have held passwords, and gives its memory back.
func (b *body) release() {
	clear(b.data)
	b.memory.leave(b.held)
}

func tooLarge() error {
	return problem.New(problem.TooLarge, "body is larger than %d bytes", MaxBody)
}

func unreadable(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problem.Wrap(problem.Malformed, err, "body came too slowly")
	}
	return problem.Wrap(problem.Malformed, err, "body broke off or is badly encoded")
}
