package vsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/mdlayher/vsock"
)

// Kernel is AF_VSOCK. On other systems than Linux its methods fail.
type Kernel struct{}

// Dial implements [Network].
func (Kernel) Dial(ctx context.Context, cid, port uint32) (Conn, error) {
	c, err := vsock.DialContext(ctx, cid, port, nil)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err // the rest of it repeats the address
		}
		return nil, fmt.Errorf("dial vsock://%d:%d: %w", cid, port, err)
	}
	return Capped(c), nil
}

// Listen implements [Network]. It binds every context identifier of this machine.
func (Kernel) Listen(port uint32) (net.Listener, error) {
	l, err := vsock.ListenContextID(CIDAny, port, nil)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on vsock port %d, of which a host has one for all its containers: %w", port, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on vsock port %d: %w", port, err)
	}
	return kernelListener{l}, nil
}

type kernelListener struct{ *vsock.Listener }

// Accept returns a [Conn].
func (l kernelListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn, ok := c.(Conn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("accept on %v: connection of type %T has no CloseWrite", l.Addr(), c)
	}
	return Capped(conn), nil
}

// kernelCID is the context identifier in an address of AF_VSOCK.
func kernelCID(a net.Addr) (cid uint32, ok bool) {
	addr, ok := a.(*vsock.Addr)
	if !ok {
		return 0, false
	}
	return addr.ContextID, true
}
