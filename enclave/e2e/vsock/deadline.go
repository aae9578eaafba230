package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// soon is a deadline that passes while a call waits.
const soon = 200 * time.Millisecond

func readDeadline(_ context.Context, l link) error {
	if err := l.near.SetReadDeadline(time.Now().Add(soon)); err != nil {
		return err
	}
	var b [1]byte
	if n, err := l.near.Read(b[:]); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("read with nothing to read: %d, %s, want %w", n, told(err), os.ErrDeadlineExceeded)
	}
	if err := l.near.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if _, err := l.far.Write([]byte{7}); err != nil {
		return err
	}
	if _, err := l.near.Read(b[:]); err != nil || b[0] != 7 {
		return fmt.Errorf("read after the deadline was lifted: %d, %s", b[0], told(err))
	}
	return nil
}

// writeDeadline writes more than all buffers hold to a peer that does not read. A byte that was counted and not sent, or
// sent and not counted, would break a stream that goes on afterwards.
func writeDeadline(_ context.Context, l link) error {
	data := random(8 << 20)
	if err := l.near.SetWriteDeadline(time.Now().Add(soon)); err != nil {
		return err
	}
	n, err := l.near.Write(data)
	if n == 0 || n == len(data) || !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("write to a peer that does not read: %d, %s, want a part and %w", n, told(err), os.ErrDeadlineExceeded)
	}
	if err := l.near.SetWriteDeadline(time.Time{}); err != nil {
		return err
	}
	rest := make(chan error, 1)
	go func() { rest <- say(l.near, data[n:]) }()
	return errors.Join(hear(l.far, data), <-rest)
}

func wakeByDeadline(_ context.Context, l link) error {
	return wakes(l.near, os.ErrDeadlineExceeded, func() error { return l.near.SetDeadline(time.Unix(1, 0)) })
}

func wakeByClose(_ context.Context, l link) error {
	return wakes(l.near, net.ErrClosed, l.near.Close)
}

// wakes blocks in a read, then does what must end it with the error given.
func wakes(c vsock.Conn, want error, wake func() error) error {
	reading := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		reading <- err
	}()
	select {
	case err := <-reading:
		return fmt.Errorf("a read with nothing to read ended by itself: %s", told(err))
	case <-time.After(soon):
	}
	if err := wake(); err != nil {
		return err
	}
	if err := <-reading; !errors.Is(err, want) {
		return fmt.Errorf("the read ended with %s, want %w", told(err), want)
	}
	return nil
}

func wakeAccept(ctx context.Context) error {
	l, err := vsock.Kernel{}.Listen(port)
	if err != nil {
		return err
	}
	accepting := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepting <- err
	}()
	select {
	case err := <-accepting:
		return fmt.Errorf("accept ended by itself: %s", told(err))
	case <-time.After(soon):
	}
	if err := l.Close(); err != nil {
		return err
	}
	select {
	case err := <-accepting:
		if !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept ended with %s, want %w", told(err), net.ErrClosed)
		}
		return nil
	case <-ctx.Done():
		return errors.New("accept goes on")
	}
}
