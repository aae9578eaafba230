package pipe

import (
	"io"
	"net"
	"os"
	"syscall"
)

// source reads a connection into a buffer that it holds while there is something to read.
type source struct {
	conn net.Conn
	raw  syscall.RawConn // nil if conn is no socket: it holds a small buffer while it waits, too
	buf  []byte          // nil while it waits

	// The outcome of take, which is made once: a function made for each read would be garbage for each read.
	take func(fd uintptr) bool
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

// read waits until there is something to read, and returns it; it is valid until the next call. An error means that nothing was read;
// io.EOF is the end.
func (s *source) read() ([]byte, error) {
	if s.raw == nil {
		if s.buf == nil {
			s.buf = make([]byte, small) // above the 16 KiB of a TLS record
		}
		n, err := s.conn.Read(s.buf)
		if n > 0 {
			err = nil // it comes again
		}
		return s.buf[:n], err
	}
	s.n, s.err = 0, nil
	if err := s.raw.Read(s.take); err != nil { // closed, or a deadline
		return nil, err
	}
	switch {
	case s.err != nil:
		return nil, os.NewSyscallError("read", s.err)
	case s.n == 0:
		return nil, io.EOF
	}
	return s.buf[:s.n], nil
}

// takeReadable reads what is there. False has it called again once there is something.
func (s *source) takeReadable(fd uintptr) bool {
	s.hold()
	for {
		s.n, s.err = syscall.Read(int(fd), s.buf)
		if s.err != syscall.EINTR { //nolint:errorlint // an errno as the system call gave it
			break
		}
	}
	if s.err == syscall.EAGAIN { //nolint:errorlint // as above
		s.release()
		return false
	}
	return true
}

func (s *source) hold() {
	if s.buf == nil {
		s.buf = buffers.take()
	}
}

// release gives the buffer back. What was read is not valid any more.
func (s *source) release() {
	if s.buf != nil {
		buffers.put(s.buf)
		s.buf = nil
	}
}
