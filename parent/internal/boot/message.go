package boot

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// send gives the peer [stepTimeout] to take the message. Its error is never io.EOF, which package mdlayher/vsock returns for a vsock that was
// reset (ENOTCONN).
func send(c net.Conn, m wire.Message) error {
	err := c.SetWriteDeadline(time.Now().Add(stepTimeout))
	if err == nil {
		err = wire.WriteMessage(c, m)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		err = syscall.ENOTCONN
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("it was not taken within %v: %w", stepTimeout, err)
	}
	return fmt.Errorf("send %T: %w", m, err)
}

// receive returns io.EOF if the peer closed the connection before a message began.
func receive(c net.Conn, within time.Duration) (wire.Message, error) {
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	return read(c)
}

// read is receive within the deadline that is set.
func read(c net.Conn) (wire.Message, error) {
	m, err := wire.ReadMessage(c)
	if errors.Is(err, io.EOF) && unconnected(c) {
		err = os.NewSyscallError("read", syscall.ENOTCONN)
	}
	return m, err
}

// unconnected asks the kernel whether a connection that gave io.EOF was reset: package mdlayher/vsock returns that for ENOTCONN, too. The
// kernel says the same again, as long as the socket is open.
func unconnected(c net.Conn) bool {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	var again error
	err = raw.Read(func(fd uintptr) bool {
		_, again = syscall.Read(int(fd), make([]byte, 1))
		return true // with whatever it says: there is nothing to wait for
	})
	return err == nil && errors.Is(again, syscall.ENOTCONN)
}
