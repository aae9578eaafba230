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
	smallBody = 128 << 10 // a body above has a place of its own kind
	freeBody  = 16 << 10  // what every reader may have; above, memory is counted
	startBody = 4 << 10
)

// The most memory that bodies have beside freeBody for each reader. While a body grows it is there twice, in part: four large
// ones have at most 192 MiB.
const (
	maxLarge  = 4
	maxMemory = 64 << 20
)

// A large body has this time from the moment it has its place, and more for what has come: slower than this nobody may hold
// one of so few places. A small one has the time of the whole request, readTimeout.
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
	data, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1)) // no server has been here: a handler alone, or no body
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
	limits *Limits
	data   []byte
	err    error // a problem
	read   int   // how much of data was read by Read
	memory int64 // held of limits.memory
	large  bool  // holds a place of limits.large
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
func (l *Limits) receive(w http.ResponseWriter, r *http.Request, c *conn) *body {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	b := l.bodies.Get().(*body) // the pool holds nothing else
	b.err = b.fill(w, r, c)
	return b
}

func (b *body) fill(w http.ResponseWriter, r *http.Request, c *conn) error {
	if r.ContentLength > MaxBody {
		return tooLarge()
	}
	if !c.beginReading() {
		return problem.New(problem.Overloaded, "too many requests at once")
	}
	defer c.endReading()
	if n := r.ContentLength; n > int64(cap(b.data)) && n <= freeBody {
		b.data = make([]byte, 0, n)
	}
	var began time.Time // of the large part
	for {
		if len(b.data) == cap(b.data) {
			if err := b.grow(); err != nil {
				return err
			}
			if b.large {
				if began.IsZero() {
					began = time.Now()
				}
				allowed := largeGrace + largePerMiB*time.Duration(len(b.data)>>20)
				_ = http.NewResponseController(w).SetReadDeadline(began.Add(allowed)) // the server's own holds where it cannot
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
func (b *body) grow() error {
	size := 2 * cap(b.data)
	switch {
	case cap(b.data) > MaxBody:
		return tooLarge()
	case size > smallBody:
		if !b.large {
			if !b.limits.large.take(1) {
				return problem.New(problem.Overloaded, "too many bodies above %d bytes at once", smallBody)
			}
			b.large = true
		}
		size = min(size, MaxBody+1) // one more, to see that there is one
	case size > freeBody:
		more := int64(size - max(cap(b.data), freeBody))
		if !b.limits.memory.take(more) {
			return problem.New(problem.Overloaded, "too many bodies above %d bytes at once", freeBody)
		}
		b.memory += more
	}
	data := make([]byte, len(b.data), size)
	copy(data, b.data)
	clear(b.data)
	b.data = data
	return nil
}

// release gives the buffer back. It may have held passwords.
func (b *body) release() {
	clear(b.data)
	l := b.limits
	l.memory.leave(b.memory)
	if b.large {
		l.large.leave(1)
	}
	if cap(b.data) > freeBody {
		return
	}
	*b = body{limits: l, data: b.data[:0]}
	l.bodies.Put(b)
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
