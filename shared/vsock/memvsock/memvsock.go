// Package memvsock is a vsock network in memory, for tests, in virtual time too.
package memvsock

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
)

// Network is a [vsock.Network] whose connections are pairs of net.Pipe, so that they are
// unbuffered and work in a testing/synctest bubble. Both sides share one Network. The zero value is ready.
type Network struct {
	mu        sync.Mutex // held while listeners changes or is read
	listeners map[uint32]*listener
}

// Dial implements [vsock.Network], whatever the context identifier. There is no backlog: it waits for an Accept.
func (n *Network) Dial(ctx context.Context, cid, port uint32) (vsock.Conn, error) {
	n.mu.Lock()
	l := n.listeners[port]
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("dial mem://%d:%d: %w", cid, port, syscall.ECONNREFUSED)
	}
	near, far := Pipe()
	select {
	case l.backlog <- far:
		return near, nil
	case <-l.closed:
		return nil, fmt.Errorf("dial mem://%d:%d: %w", cid, port, syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, fmt.Errorf("dial mem://%d:%d: %w", cid, port, ctx.Err())
	}
}

// Listen implements [vsock.Network].
func (n *Network) Listen(port uint32) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[port] != nil {
		return nil, fmt.Errorf("listen on mem port %d: %w", port, syscall.EADDRINUSE)
	}
	if n.listeners == nil {
		n.listeners = map[uint32]*listener{}
	}
	l := &listener{net: n, port: port, backlog: make(chan vsock.Conn), closed: make(chan struct{})}
	n.listeners[port] = l
	return l, nil
}

type listener struct {
	net     *Network
	port    uint32
	backlog chan vsock.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		delete(l.net.listeners, l.port)
	})
	return nil
}

func (l *listener) Addr() net.Addr { return vsock.Addr{Port: l.port} }

// Pipe returns two ends of one connection that can be half-closed.
func Pipe() (a, b vsock.Conn) {
	// A net.Pipe cannot close one direction, so each direction is a pipe of its own.
	aRead, bWrite := net.Pipe()
	bRead, aWrite := net.Pipe()
	return vsock.Capped(&end{r: aRead, w: aWrite}), vsock.Capped(&end{r: bRead, w: bWrite})
}

type end struct{ r, w net.Conn }

func (e *end) Read(b []byte) (int, error)         { return e.r.Read(b) }
func (e *end) Write(b []byte) (int, error)        { return e.w.Write(b) }
func (e *end) CloseWrite() error                  { return e.w.Close() }
func (e *end) LocalAddr() net.Addr                { return e.r.LocalAddr() }
func (e *end) RemoteAddr() net.Addr               { return e.r.RemoteAddr() }
func (e *end) SetReadDeadline(t time.Time) error  { return e.r.SetReadDeadline(t) }
func (e *end) SetWriteDeadline(t time.Time) error { return e.w.SetWriteDeadline(t) }

func (e *end) SetDeadline(t time.Time) error {
	_ = e.r.SetReadDeadline(t)
	return e.w.SetWriteDeadline(t)
}

func (e *end) Close() error {
	_ = e.r.Close()
	return e.w.Close()
}
