package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// port is where the checks of the kernel listen, one after another.
const port = 5005

// link is the two ends of one connection.
type link struct {
	near vsock.Conn // dialled
	far  vsock.Conn // accepted
}

func (l link) close() {
	_ = l.near.Close()
	_ = l.far.Close()
}

// linked gives f a connection over loopback, which ends with ctx.
func linked(f func(context.Context, link) error) func(context.Context) error {
	return func(ctx context.Context) error {
		l, err := connect(ctx)
		if err != nil {
			return err
		}
		defer l.close()
		defer context.AfterFunc(ctx, l.close)()
		return f(ctx, l)
	}
}

func connect(ctx context.Context) (link, error) {
	listener, err := vsock.Kernel{}.Listen(port)
	if err != nil {
		return link{}, err
	}
	defer func() { _ = listener.Close() }()
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	near, err := vsock.Kernel{}.Dial(ctx, vsock.CIDLocal, port)
	if err != nil {
		return link{}, err
	}
	far, err := accept(listener)
	if err != nil {
		return link{}, errors.Join(err, near.Close())
	}
	return link{near, far}, nil
}

func accept(l net.Listener) (vsock.Conn, error) {
	c, err := l.Accept()
	if err != nil {
		return nil, err
	}
	conn, ok := c.(vsock.Conn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("accepted a %T, which has no CloseWrite", c), c.Close())
	}
	return conn, nil
}

// say writes data and then ends that direction.
func say(c halfCloser, data []byte) error {
	if _, err := c.Write(data); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := c.CloseWrite(); err != nil {
		return fmt.Errorf("half-close: %w", err)
	}
	return nil
}

type halfCloser interface {
	io.Writer
	CloseWrite() error
}

// hear reads to the end, which must come after exactly want.
func hear(c io.Reader, want []byte) error {
	got, err := io.ReadAll(c)
	if err != nil {
		return fmt.Errorf("read: after %d bytes: %w", len(got), err)
	}
	return same(got, want)
}

// same says where two texts differ first.
func same(got, want []byte) error {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Errorf("byte %d of %d arrived changed", i, len(want))
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d bytes arrived, want %d", len(got), len(want))
	}
	return nil
}

// told is an error that may be nil where one was wanted.
func told(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}
