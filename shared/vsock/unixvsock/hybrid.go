package unixvsock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// Hybrid is a [vsock.Network] over the socket file that hypervisors without host vsock offer
// (Firecracker's vsock.md; vhost-device-vsock): Dial connects to the file and writes
// "CONNECT PORT\n", Listen serves what the guest sends to FILE_PORT.
type Hybrid string

// Dial implements [vsock.Network].
func (h Hybrid) Dial(ctx context.Context, _, port uint32) (vsock.Conn, error) {
	c, err := dial(ctx, string(h))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	err = connect(c, port)
	if !stop() {
		err = ctx.Err() // the deadline is in the past: a connection that was made is of no use
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("connect to port %d through %s: %w", port, h, err)
	}
	return c, nil
}

// Listen implements [vsock.Network].
func (h Hybrid) Listen(port uint32) (net.Listener, error) {
	return listen(string(h) + "_" + strconv.FormatUint(uint64(port), 10))
}

// connect asks the hypervisor for a port. It reads byte by byte: what follows the answer belongs to the caller.
func connect(c vsock.Conn, port uint32) error {
	line, err := ask(c, port)
	hungUp := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	switch {
	case hungUp && len(line) == 0:
		return errors.New("nobody listens there (closed without an answer)")
	case hungUp:
		return fmt.Errorf("answer %q is cut short", line)
	case err != nil:
		return err
	}
	number, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), "OK ")
	if _, err := strconv.ParseUint(number, 10, 32); !ok || err != nil {
		return fmt.Errorf("answer %q is not OK PORT", line)
	}
	return nil
}

// ask returns the answer with its newline, or as much as is too much.
func ask(c vsock.Conn, port uint32) ([]byte, error) {
	if _, err := fmt.Fprintf(c, "CONNECT %d\n", port); err != nil {
		return nil, err
	}
	const longest = len("OK 4294967295\n")
	var line []byte
	var b [1]byte
	for len(line) < longest && b[0] != '\n' {
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return line, err
		}
		line = append(line, b[0])
	}
	return line, nil
}
