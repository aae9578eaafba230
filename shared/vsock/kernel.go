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
		return nil, fmt.Errorf("dial vsock://%d:%d: %w", cid, port, err)
	}
	return &cappedPeer{capped: capped{c}, cid: cid}, nil
}

// Listen implements [Network]. It binds every context identifier of this machine.
func (Kernel) Listen(port uint32) (net.Listener, error) {
	l, err := vsock.ListenContextID(CIDAny, port, nil)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on vsock port %d: taken; vsock has one name space per host, so another parent or enclave process runs here: %w", port, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on vsock port %d: %w", port, err)
	}
	return kernelListener{l}, nil
}

type kernelListener struct{ *vsock.Listener }

// Accept returns a [Conn] that knows its peer.
func (l kernelListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	kc, ok := c.(*vsock.Conn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("accept on %v: unexpected connection type %T", l.Addr(), c)
	}
	peer, ok := kc.RemoteAddr().(*vsock.Addr)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("accept on %v: unexpected address type %T", l.Addr(), kc.RemoteAddr())
	}
	return &cappedPeer{capped: capped{kc}, cid: peer.ContextID}, nil
}
