package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

func refusedPort(ctx context.Context) error {
	return refused(ctx, vsock.CIDLocal, syscall.ECONNRESET)
}

// refusedCID dials the parent, as an enclave does, where there is none.
func refusedCID(ctx context.Context) error {
	return refused(ctx, vsock.CIDParent, syscall.ENODEV)
}

func refused(ctx context.Context, cid uint32, want syscall.Errno) error {
	c, err := vsock.Kernel{}.Dial(ctx, cid, port)
	if err == nil {
		return errors.Join(errors.New("somebody answered"), c.Close())
	}
	text := fmt.Sprintf("dial vsock://%d:%d: ", cid, port)
	if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), text) || strings.Count(err.Error(), "vsock") != 1 {
		return fmt.Errorf("the error is %w, want %w behind %q", err, want, text)
	}
	return nil
}

func cancelledDial(ctx context.Context) error {
	l, err := vsock.Kernel{}.Listen(port)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	c, err := vsock.Kernel{}.Dial(ctx, vsock.CIDLocal, port)
	if err == nil {
		return errors.Join(errors.New("a dial whose context had ended connected"), c.Close())
	}
	if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the error is %w, want %w", err, context.Canceled)
	}
	return nil
}

func takenPort(context.Context) error {
	first, err := vsock.Kernel{}.Listen(port)
	if err != nil {
		return err
	}
	second, err := vsock.Kernel{}.Listen(port)
	if err == nil {
		return errors.Join(errors.New("two listeners have one port"), second.Close(), first.Close())
	}
	const want = "listen on vsock port 5005"
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), want) {
		return errors.Join(fmt.Errorf("the error is %w, want %q", err, want), first.Close())
	}
	if err := first.Close(); err != nil {
		return err
	}
	third, err := vsock.Kernel{}.Listen(port)
	if err != nil {
		return fmt.Errorf("after the listener closed: %w", err)
	}
	return third.Close()
}
