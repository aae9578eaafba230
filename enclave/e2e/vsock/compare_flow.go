package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// accepting accepts one connection for serve, which closes after patience.
func accepting(l net.Listener, serve func(*net.TCPConn) error) <-chan error {
	done := make(chan error, 1)
	go func() {
		defer func() { _ = l.Close() }()
		c, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = c.Close() }()
		tcp, ok := c.(*net.TCPConn)
		if !ok {
			done <- fmt.Errorf("a %T is no TCP connection", c)
			return
		}
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			done <- err
			return
		}
		done <- serve(tcp)
	}()
	return done
}

func clientEnds(ctx context.Context, p proxied) (answer, error) {
	question, reply := random(100_000), random(1<<20)
	return p.once(ctx, func(server *net.TCPConn) error {
		if err := hear(server, question); err != nil {
			return fmt.Errorf("the question: %w", err)
		}
		return say(server, reply)
	}, func(client clientConn) error {
		return errors.Join(say(client, question), hear(client, reply))
	}, "the whole answer arrived")
}

func serverEnds(ctx context.Context, p proxied) (answer, error) {
	greeting, question := random(100_000), random(1<<20)
	return p.once(ctx, func(server *net.TCPConn) error {
		return errors.Join(say(server, greeting), hear(server, question))
	}, func(client clientConn) error {
		if err := hear(client, greeting); err != nil {
			return fmt.Errorf("the greeting: %w", err)
		}
		return say(client, question)
	}, "all of it arrived")
}

// once carries one connection; well is what to say if neither end fails.
func (p proxied) once(ctx context.Context, serve func(*net.TCPConn) error, ask func(clientConn) error, well string) (answer, error) {
	target, err := listenTCP(ctx, "127.0.0.1:0")
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = target.Close() }()
	return p.with(ctx, to(target), func(*rig.Process) (answer, error) {
		served := accepting(target, serve)
		c, err := enter(ctx)
		if err != nil {
			return answer{}, err
		}
		defer func() { _ = c.Close() }()
		asking, serving := ask(c), <-served
		if asking == nil && serving == nil {
			return answer{seen: well, well: true}, nil
		}
		return answer{seen: fmt.Sprintf("lost: client: %s; server: %s", told(asking), told(serving))}, nil
	})
}

// bothWays has a server that reads and writes at the same time, and a client that does so too, or writes first. A connection without
// a proxy carries both.
func bothWays(ctx context.Context, p proxied, writesFirst bool) (answer, error) {
	there, back := random(4<<20), random(4<<20)
	var arrived atomic.Int64
	var writing error
	a, err := p.once(ctx, func(server *net.TCPConn) error {
		var sending error
		var both sync.WaitGroup
		both.Go(func() { _, sending = server.Write(back) })
		err := expect(counting{server, &arrived}, there)
		both.Wait()
		return errors.Join(sending, err)
	}, func(client clientConn) error {
		var both sync.WaitGroup
		both.Go(func() { _, writing = client.Write(there) })
		if writesFirst {
			both.Wait()
		}
		err := expect(client, back)
		both.Wait()
		return errors.Join(writing, err)
	}, "all of both arrived")
	if err == nil && !a.well {
		a.seen = fmt.Sprintf("stuck until the ends gave up after %v: the server had %d KiB of 4096", patience, arrived.Load()>>10)
	}
	return a, err
}

// expect reads exactly want, and no end behind it: one half-close would be another question.
func expect(c io.Reader, want []byte) error {
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil {
		return fmt.Errorf("after %d bytes: %w", n, err)
	}
	return same(got, want)
}

// counting counts what is read.
type counting struct {
	io.Reader
	n *atomic.Int64
}

func (c counting) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n.Add(int64(n))
	return n, err
}
