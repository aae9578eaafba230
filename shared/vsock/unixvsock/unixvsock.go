// Package unixvsock stands unix sockets in for AF_VSOCK, where no hypervisor is.
package unixvsock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

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

func dial(ctx context.Context, path string) (vsock.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		return c.(*net.UnixConn), nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if _, statErr := os.Stat(filepath.Dir(path)); statErr != nil {
			return nil, fmt.Errorf("dial unix://%s: the socket directory does not exist: %w", path, statErr)
		}
		return nil, fmt.Errorf("dial unix://%s: nobody listens there: %w", path, reason(err))
	}
	return nil, fmt.Errorf("dial unix://%s: %w", path, reason(err))
}

func listen(path string) (net.Listener, error) {
	unlock, err := lock(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("listen on unix://%s: socket directory: %w", path, err)
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("listen on unix://%s: %w", path, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on unix://%s: %w", path, reason(err))
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("listen on unix://%s: %w", path, err)
	}
	return l, nil
}

// lock holds the directory while a stale socket is replaced: of two processes that find the same one,
// the slower would remove the live socket of the faster. The kernel unlocks for a process that dies.
func lock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { _ = d.Close() }, nil
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
	switch {
	case err == nil:
		_ = c.Close()
		return fmt.Errorf("taken by another process: %w", syscall.EADDRINUSE)
	case errors.Is(err, syscall.EAGAIN): // its backlog is full
		return fmt.Errorf("taken by another process: %w", syscall.EADDRINUSE)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return reason(err)
}

// reason strips what package net repeats of the address, and says what EINVAL means here.
func reason(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("a socket's path has at most 107 bytes (103 on macOS), use a shorter directory: %w", err)
	}
	return err
}
