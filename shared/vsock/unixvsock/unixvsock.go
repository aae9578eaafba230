// Package unixvsock stands unix sockets in for AF_VSOCK, where no hypervisor is.
package unixvsock

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// Dir is a [vsock.Network] in which port P is the socket P.sock of a directory, whatever the
// context identifier. Who may use the directory may connect, so it should have mode 0700.
type Dir string

// Dial implements [vsock.Network].
func (d Dir) Dial(ctx context.Context, _, port uint32) (vsock.Conn, error) {
	return dial(ctx, d.path(port))
}

// Listen implements [vsock.Network]. It takes over a socket file that nobody listens on,
// as a killed process leaves behind, and removes its own on Close.
func (d Dir) Listen(port uint32) (net.Listener, error) {
	return listen(d.path(port))
}

func (d Dir) path(port uint32) string {
	return filepath.Join(string(d), vsock.SocketName(port))
}

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
	r, err := connect(c, port)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("connect to port %d through %s: %w", port, h, err)
	}
	return &greeted{Conn: c, r: r}, nil
}

// Listen implements [vsock.Network].
func (h Hybrid) Listen(port uint32) (net.Listener, error) {
	return listen(string(h) + "_" + strconv.FormatUint(uint64(port), 10))
}

// For gives the network in which an address is reached: [vsock.Kernel], a [Dir] or a [Hybrid].
func For(a vsock.Addr) vsock.Network {
	switch {
	case a.Hybrid:
		return Hybrid(a.Path)
	case a.Unix():
		return Dir(a.Path)
	}
	return vsock.Kernel{}
}

// connect asks the hypervisor for a port. It reads byte by byte, so that nothing of the stream
// behind the answer is lost.
func connect(c vsock.Conn, port uint32) (*bufio.Reader, error) {
	if _, err := fmt.Fprintf(c, "CONNECT %d\n", port); err != nil {
		return nil, err
	}
	const longest = len("OK 4294967295\n")
	r := bufio.NewReaderSize(c, 4096)
	line := make([]byte, 0, longest)
	for len(line) == 0 || line[len(line)-1] != '\n' {
		b, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("nobody listens there (closed without an answer)")
		}
		if err != nil {
			return nil, err
		}
		if line = append(line, b); len(line) > longest {
			return nil, fmt.Errorf("answer %q is not OK PORT", line)
		}
	}
	number, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), "OK ")
	if _, err := strconv.ParseUint(number, 10, 32); !ok || err != nil {
		return nil, fmt.Errorf("answer %q is not OK PORT", line)
	}
	return r, nil
}

// greeted is a hybrid connection; what came with the answer is read first.
type greeted struct {
	vsock.Conn
	r *bufio.Reader
}

func (g *greeted) Read(b []byte) (int, error) {
	if g.r.Buffered() > 0 {
		return g.r.Read(b)
	}
	return g.Conn.Read(b)
}

func dial(ctx context.Context, path string) (vsock.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, statErr := os.Stat(filepath.Dir(path)); statErr != nil {
			return nil, fmt.Errorf("dial unix://%s: the socket directory %s does not exist", path, filepath.Dir(path))
		}
		return nil, fmt.Errorf("dial unix://%s: nobody listens there: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("dial unix://%s: %w", path, err)
	}
	return vsock.Capped(c.(*net.UnixConn)), nil
}

func listen(path string) (net.Listener, error) {
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("listen on unix://%s: socket directory: %w", path, err)
	}
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("listen on unix://%s: %w", path, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on unix://%s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("listen on unix://%s: %w", path, err)
	}
	return listener{l}, nil
}

// removeStale removes a socket file that a killed process left; one that answers is an error.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("taken by another process: %w", syscall.EADDRINUSE)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

type listener struct{ *net.UnixListener }

// Accept returns a [vsock.Conn].
func (l listener) Accept() (net.Conn, error) {
	c, err := l.AcceptUnix()
	if err != nil {
		return nil, err
	}
	return vsock.Capped(c), nil
}
