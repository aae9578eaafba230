package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/pipe"
)

// piped is a client and a server with a pipe between them, as the parent puts one there: client → a|b → server.
type piped struct {
	client, server link
	ended          chan error
}

func newPiped(ctx context.Context, limits pipe.Limits) (*piped, error) {
	client, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	server, err := connect(ctx)
	if err != nil {
		client.close()
		return nil, err
	}
	p := &piped{client: client, server: server, ended: make(chan error, 1)}
	go func() {
		_, err := pipe.Join(ctx, client.far, server.near, limits)
		p.ended <- err
	}()
	return p, nil
}

func (p *piped) close() {
	p.client.close()
	p.server.close()
}

func joinedPipe(ctx context.Context) error {
	p, err := newPiped(ctx, pipe.Limits{})
	if err != nil {
		return err
	}
	defer p.close()
	socket, ok := p.client.far.(syscall.Conn)
	if !ok {
		return errors.New("a reader cannot wait without a buffer: no SyscallConn")
	}
	if _, err := socket.SyscallConn(); err != nil {
		return fmt.Errorf("a reader cannot wait without a buffer: %w", err)
	}
	if err := halfClose(p.client.near, p.server.far); err != nil {
		return err
	}
	return <-p.ended
}

func silentPipe(ctx context.Context) error {
	p, err := newPiped(ctx, pipe.Limits{Idle: 5 * soon})
	if err != nil {
		return err
	}
	defer p.close()
	began := time.Now()
	if err := <-p.ended; !errors.Is(err, pipe.ErrIdle) {
		return fmt.Errorf("the pipe ended with %s, want %w", told(err), pipe.ErrIdle)
	}
	if took := time.Since(began); took < 4*soon {
		return fmt.Errorf("the pipe ended after %v, before its limit", took)
	}
	for _, c := range []io.Reader{p.client.near, p.server.far} {
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			return fmt.Errorf("after the pipe's end an end still reads: %d bytes, %s", n, told(err))
		}
	}
	return nil
}
