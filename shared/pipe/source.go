package pipe

import (
	"io"
	"net"
	"os"
	"syscall"
)

// source reads a connection into buffers of the pool, one for each read.
type source struct {
	conn net.Conn
	raw  syscall.RawConn // nil if conn is no socket: it reads into a buffer that it holds while it waits

	// The outcome of take, which is made once: a function made for each read would be garbage for each read.
	take func(fd uintptr) bool
	buf  *[bufferSize]byte
	n    int
	err  error
}

func newSource(c net.Conn) *source {
	s := &source{conn: c}
	if socket, ok := c.(syscall.Conn); ok {
		if raw, err := socket.SyscallConn(); err == nil {
			s.raw, s.take = raw, s.takeReadable
		}
	}
	return s
}

// read waits until there is something to read. The buffer, unless it is nil, is the caller's to put back. An error means that nothing was read; io.EOF is the end.
func (s *source) read() (buf *[bufferSize]byte, n int, err error) {
	if s.raw == nil {
		buf = takeBuffer()
		n, err = s.conn.Read(buf[:])
		if n > 0 {
			err = nil // it comes again
		}
		return buf, n, err
	}
	s.buf, s.n, s.err = nil, 0, nil
	if err := s.raw.Read(s.take); err != nil { // closed, or a deadline
		return s.buf, 0, err
	}
	switch {
	case s.err != nil:
		return s.buf, 0, os.NewSyscallError("read", s.err)
	case s.n == 0:
		return s.buf, 0, io.EOF
	}
	return s.buf, s.n, nil
}

// takeReadable reads what is there. False has it called again once there is something.
func (s *source) takeReadable(fd uintptr) bool {
	s.buf = takeBuffer()
	for {
		s.n, s.err = syscall.Read(int(fd), s.buf[:])
		if s.err != syscall.EINTR { //nolint:errorlint // an errno as the system call gave it
			break
		}
	}
	if s.err == syscall.EAGAIN { //nolint:errorlint // as above
		buffers.Put(s.buf)
		s.buf = nil
		return false
	}
	return true
}

func takeBuffer() *[bufferSize]byte {
	return buffers.Get().(*[bufferSize]byte)
}
