// Package vsock reaches an emulated enclave through a unix socket, in the place of AF_VSOCK.
package vsock

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
)

// Kernel stands in for AF_VSOCK in the parent of an emulated enclave, which is reached by a unix socket: whoever connects to the file that
// E2E_NSM_VSOCK names writes "CONNECT PORT\n", and what the enclave sends to a port arrives at the file with _PORT behind its name.
type Kernel struct{}

func file() string { return os.Getenv("E2E_NSM_VSOCK") }

// Dial implements [Network].
func (Kernel) Dial(ctx context.Context, cid, port uint32) (Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "unix", file())
	if err != nil {
		return nil, fmt.Errorf("dial vsock://%d:%d: %w", cid, port, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	err = ask(c, port)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("dial vsock://%d:%d: %w", cid, port, err)
	}
	return Capped(c.(*net.UnixConn)), nil
}

// ask reads the answer byte by byte: what follows it is the caller's.
func ask(c net.Conn, port uint32) error {
	if _, err := fmt.Fprintf(c, "CONNECT %d\n", port); err != nil {
		return err
	}
	var answer strings.Builder
	var b [1]byte
	for b[0] != '\n' {
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return fmt.Errorf("nobody listens there: %w", err)
		}
		answer.WriteByte(b[0])
	}
	if !strings.HasPrefix(answer.String(), "OK ") {
		return fmt.Errorf("answer %q", answer.String())
	}
	return nil
}

// Listen implements [Network].
func (Kernel) Listen(port uint32) (net.Listener, error) {
	path := file() + "_" + strconv.FormatUint(uint64(port), 10)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on vsock port %d: %w", port, err)
	}
	return kernelListener{l}, nil
}

type kernelListener struct{ *net.UnixListener }

// Accept returns a [Conn].
func (l kernelListener) Accept() (net.Conn, error) {
	c, err := l.AcceptUnix()
	if err != nil {
		return nil, err
	}
	return Capped(c), nil
}

// kernelCID is the context identifier in an address, which a unix socket does not have.
func kernelCID(net.Addr) (cid uint32, ok bool) { return 0, false }
