package vsock

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"
)

// TestKernelConn is the conformance suite of package net over the loopback of AF_VSOCK. It is built into the tests of
// shared/vsock for the guest alone: no other machine need have such a kernel.
func TestKernelConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		l, err := Kernel{}.Listen(5999)
		if err != nil {
			return nil, nil, nil, err
		}
		defer l.Close()
		near, err := Kernel{}.Dial(t.Context(), CIDLocal, 5999)
		if err != nil {
			return nil, nil, nil, err
		}
		far, err := l.Accept()
		if err != nil {
			return nil, nil, nil, err
		}
		return near, far, func() { _ = near.Close(); _ = far.Close() }, nil
	})
}
