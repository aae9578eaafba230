package egress

import (
	"errors"
	"sync/atomic"
	"syscall"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// conn is a connection of a route, whose slot it gives back when it is closed.
type conn struct {
	vsock.Conn
	slots  <-chan struct{}
	closed atomic.Bool
}

// Close may be called often, as connection pools and their owners do: the slot is given back once.
func (c *conn) Close() error {
	err := c.Conn.Close()
	if !c.closed.Swap(true) {
		<-c.slots
	}
	return err
}

// SyscallConn lets a pipe wait without a buffer.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	socket, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return socket.SyscallConn()
}
