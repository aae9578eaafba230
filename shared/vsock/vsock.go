// Package vsock dials and listens on the sockets between an enclave and its parent.
//
// A [Network] is one way to do so: [Kernel] is AF_VSOCK; package unixvsock puts
// unix sockets in its place on a laptop, package memvsock memory in tests.
package vsock

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// Well-known context identifiers, vsock(7).
const (
	// CIDLocal is the machine itself (loopback).
	CIDLocal uint32 = 1
	// CIDParent is the parent instance as a Nitro enclave sees it.
	CIDParent uint32 = 3
	// CIDAny binds every context identifier (VMADDR_CID_ANY).
	CIDAny uint32 = 0xFFFFFFFF
)

// MaxWrite is the most bytes handed to a vsock in one call, 28 KiB. Packets above
// 32 KiB became non-linear in Linux 6.17 (commit 6693731487a8, in stable kernels
// too) and the Nitro hypervisor reassembles those wrongly: bytes arrive changed.
// With the kernel's own part of a packet, seven whole pages fit in 32 KiB.
const MaxWrite = 28 << 10

// ErrNoCID is returned by [PeerCID] for a connection whose transport has no context identifiers.
var ErrNoCID = errors.New("the transport has no context identifiers")

// Conn is a stream that can be closed in one direction.
type Conn interface {
	net.Conn
	// CloseWrite tells the peer that nothing more comes; reading goes on.
	CloseWrite() error
}

// Network is one way to reach the other side of the split. It is safe for concurrent use.
// Where it is AF_VSOCK, every [Conn] it makes, accepted ones too, hands the kernel at most [MaxWrite] bytes a call.
type Network interface {
	// Dial connects to a port of the given context identifier, and gives up when ctx ends.
	Dial(ctx context.Context, cid, port uint32) (Conn, error)
	// Listen accepts connections to a port of this side. What Accept returns is a Conn.
	Listen(port uint32) (net.Listener, error)
}

// PeerCID is the context identifier at the other end of c. Only the kernel transport knows it;
// any other gives [ErrNoCID]. It is read from the remote address, which TLS and other wrappers
// hand through, so that wrapping a connection does not lose its peer.
func PeerCID(c net.Conn) (uint32, error) {
	remote := c.RemoteAddr()
	if a, ok := remote.(Addr); ok && !a.Unix() {
		return a.CID, nil
	}
	if cid, ok := kernelCID(remote); ok {
		return cid, nil
	}
	return 0, ErrNoCID
}

// CheckPeer returns an error if c comes from another context identifier than cid: vsock has
// one name space per host, so that any process of the host can connect to a listener.
// A transport without context identifiers passes; there the socket's directory is the wall.
func CheckPeer(c net.Conn, cid uint32) error {
	got, err := PeerCID(c)
	if errors.Is(err, ErrNoCID) {
		return nil
	}
	if err != nil {
		return err
	}
	if got != cid {
		return fmt.Errorf("peer has context identifier %d, want %d", got, cid)
	}
	return nil
}
