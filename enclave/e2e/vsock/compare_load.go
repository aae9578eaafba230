package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// echo gives back what comes on every connection until the listener closes.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			b := make([]byte, 64)
			for {
				n, err := c.Read(b)
				if err != nil {
					return
				}
				if _, err := c.Write(b[:n]); err != nil {
					return
				}
			}
		}()
	}
}

// echoing listens on an address for echo.
func echoing(ctx context.Context, address string) (net.Listener, error) {
	l, err := listenTCP(ctx, address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	go echo(l)
	return l, nil
}

// echoes sends a byte and waits for it.
func echoes(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.Write([]byte{7}); err != nil {
		return err
	}
	return back(c)
}

func back(c io.Reader) error {
	var b [1]byte
	_, err := io.ReadFull(c, b[:])
	return err
}

// served is a new connection over which a byte came back.
func served(ctx context.Context) (vsock.Conn, error) {
	c, err := enter(ctx)
	if err != nil {
		return nil, err
	}
	if err := echoes(c); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func fifth(ctx context.Context, p proxied) (answer, error) {
	target, err := echoing(ctx, "127.0.0.1:0")
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = target.Close() }()
	r := to(target)
	r.limit = 4
	return p.with(ctx, r, func(*rig.Process) (answer, error) {
		var four []vsock.Conn
		defer func() { closeAll(four) }()
		for range r.limit {
			c, err := served(ctx)
			if err != nil {
				return answer{}, fmt.Errorf("connection %d: %w", len(four)+1, err)
			}
			four = append(four, c)
		}
		return oneMore(ctx, four)
	})
}

// oneMore asks for service beside connections that fill the limit, and again when one of them has ended.
func oneMore(ctx context.Context, full []vsock.Conn) (answer, error) {
	c, err := enter(ctx)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = c.Close() }()
	began := time.Now()
	err = echoes(c)
	took := time.Since(began)
	_ = full[0].Close()
	switch {
	case err == nil:
		return answer{seen: "served beyond the limit"}, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		if err := errors.Join(c.SetDeadline(time.Now().Add(patience)), back(c)); err != nil {
			return answer{seen: fmt.Sprintf("taken, not a word for %v, and none after one of the four ended", patience)}, nil
		}
		return answer{seen: fmt.Sprintf("taken, not a word for %v; served when one of the four ended", patience)}, nil
	}
	if err := anew(ctx); err != nil {
		return answer{seen: fmt.Sprintf("closed; a later one too, though one of the four had ended: %v", err)}, nil
	}
	return answer{seen: "closed, without a wait; a later one is served when one of the four has ended", well: took < patience/2}, nil
}

// anew tries new connections until one is served.
func anew(ctx context.Context) error {
	for began := time.Now(); ; {
		c, err := served(ctx)
		if err == nil {
			return c.Close()
		}
		if time.Since(began) > patience {
			return err
		}
		select {
		case <-time.After(soon):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func closeAll(conns []vsock.Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

// many opens connections one after another and keeps them.
func many(ctx context.Context, p proxied) (answer, error) {
	const wanted = 600
	target, err := echoing(ctx, "127.0.0.1:0")
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = target.Close() }()
	r := to(target)
	r.limit = 1024
	return p.with(ctx, r, func(process *rig.Process) (answer, error) {
		var open []vsock.Conn
		defer func() { closeAll(open) }()
		var last error
		for range wanted {
			c, err := served(ctx)
			if err != nil {
				last = err
				continue
			}
			open = append(open, c)
		}
		alive := 0
		for _, c := range open {
			if echoes(c) == nil {
				alive++
			}
		}
		seen := fmt.Sprintf("%d served, %d of them to the end", len(open), alive)
		if last != nil {
			seen += fmt.Sprintf("; the rest closed (%v)", last)
		}
		return answer{seen: seen + panics(process) + ending(process), well: alive == wanted}, nil
	})
}

// ending says how a process ended by itself, if it has.
func ending(p *rig.Process) string {
	if !isDone(p) {
		return ""
	}
	seen := ended(p)
	if lines := p.Lines(); len(lines) > 0 {
		seen += ": " + lines[len(lines)-1]
	}
	return seen
}

// ended stops a process, if it still runs, and says how it ended.
func ended(p *rig.Process) string {
	if err := p.Terminate(); err != nil {
		return "; " + err.Error()
	}
	return "; the proxy ended with exit code 0"
}
