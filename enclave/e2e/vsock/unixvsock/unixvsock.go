// Package unixvsock carries platform simulated over AF_VSOCK, where a kernel has it.
//
// It stands in for the package of the same name below shared/vsock when the commands are built for the guest with Go's -overlay:
// parent and signer are then composed exactly as on a laptop, and only what their sockets are is another thing. Nothing imports it.
package unixvsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// Dir is a [vsock.Network] over the loopback of AF_VSOCK. The directory, its value, stays empty.
type Dir string

// Dial implements [vsock.Network], whatever the context identifier: on loopback all sides have [vsock.CIDLocal].
func (Dir) Dial(ctx context.Context, _, port uint32) (vsock.Conn, error) {
	c, err := vsock.Kernel{}.Dial(ctx, vsock.CIDLocal, port)
	if err != nil {
		return nil, err
	}
	return conn{c}, nil
}

// Listen implements [vsock.Network].
func (Dir) Listen(port uint32) (net.Listener, error) {
	l, err := vsock.Kernel{}.Listen(port)
	if err != nil {
		return nil, err
	}
	return listener{l}, nil
}

// For gives the network in which an address is reached.
func For(a vsock.Addr) vsock.Network {
	if a.Unix() {
		return Dir(a.Path)
	}
	return vsock.Kernel{}
}

type listener struct{ net.Listener }

// Accept returns a [vsock.Conn] that came over loopback.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	kernel, ok := c.(vsock.Conn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("accept: connection of type %T has no CloseWrite", c), c.Close())
	}
	if _, err := vsock.PeerCID(c); err != nil {
		return nil, errors.Join(fmt.Errorf("accept: %w", err), c.Close())
	}
	if err := vsock.CheckPeer(c, vsock.CIDLocal); err != nil {
		return nil, errors.Join(fmt.Errorf("accept: %w", err), c.Close())
	}
	return conn{kernel}, nil
}

// conn has no context identifier, as on platform simulated: on loopback it could not be the enclave's.
type conn struct{ vsock.Conn }

// RemoteAddr names no context identifier.
func (c conn) RemoteAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// SyscallConn lets a reader wait without a buffer.
func (c conn) SyscallConn() (syscall.RawConn, error) {
	socket, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return socket.SyscallConn()
}
