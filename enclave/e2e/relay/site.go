package main

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// server answers on a unix socket. The first byte of a connection says what it is for.
type server struct {
	path  string
	l     net.Listener
	sunk  atomic.Int64 // bytes that came to be counted
	conns sync.WaitGroup
}

const (
	toSink byte      = iota // count what comes
	toEcho                  // send it back
	size   = 64             // bytes of a request and of its answer
	block  = 1 << 17        // bytes of a write of a stream
)

func listen(path string) (*server, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	s := &server{path: path, l: l}
	s.conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Go(func() { s.serve(c) })
		}
	})
	return s, nil
}

func (s *server) close() error {
	err := s.l.Close()
	s.conns.Wait()
	return err
}

func (s *server) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	purpose := make([]byte, 1)
	if _, err := io.ReadFull(c, purpose); err != nil {
		return
	}
	b := make([]byte, size)
	if purpose[0] == toSink {
		b = make([]byte, block)
	}
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if purpose[0] == toSink {
			s.sunk.Add(int64(n))
		} else if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

// client is one connection through a relay.
type client struct{ net.Conn }

// dial opens a connection whose requests are echoed.
func dial(ctx context.Context, address string) (client, error) {
	network := "tcp"
	if strings.HasPrefix(address, "/") { // without a relay
		network = "unix"
	}
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return client{}, err
	}
	_, err = c.Write([]byte{toEcho})
	return client{c}, err
}

// ask sends a request and reads its answer.
func (c client) ask(b []byte) error {
	if _, err := c.Write(b); err != nil {
		return err
	}
	_, err := io.ReadFull(c, b)
	return err
}

// dialSink opens a connection for a stream.
func dialSink(ctx context.Context, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	_, err = c.Write([]byte{toSink})
	return c, err
}

// stream sends bytes until ctx ends, and closes the connection.
func stream(ctx context.Context, c net.Conn) error {
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	for b := make([]byte, block); ; {
		if _, err := c.Write(b); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}
