package vsock

import (
	"errors"
	"sync"
	"syscall"
)

// Capped returns c with every write split into pieces of at most [MaxWrite] bytes; the pieces of one
// write stay together. The result has no ReadFrom, so that no copy loop can go around the limit.
func Capped(c Conn) Conn {
	return &capped{Conn: c}
}

type capped struct {
	Conn
	writing sync.Mutex // held for a whole Write: the pieces of two never mix
}

func (c *capped) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	written := 0
	for {
		n, err := c.Conn.Write(b[written:min(len(b), written+MaxWrite)])
		written += n
		if err != nil || written == len(b) {
			return written, err
		}
	}
}

// SyscallConn lets a reader wait without a buffer. Nothing is written through it: that would go around the limit.
func (c *capped) SyscallConn() (syscall.RawConn, error) {
	socket, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return socket.SyscallConn()
}
