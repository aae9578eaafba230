//go:build linux

package faults

import (
	"net"
	"sync"
	"testing"
)

// gate is an address at which a server answers, until something happens to it.
type gate struct {
	t       *testing.T
	address string
	to      string // address of the server itself
	running sync.WaitGroup
	passing sync.RWMutex // held for writing while nothing passes

	mu    sync.Mutex // held while the fields below are used
	l     net.Listener
	conns map[net.Conn]bool
}

// newGate is closed.
func newGate(t *testing.T, address, to string) *gate {
	t.Helper()
	g := &gate{t: t, address: address, to: to, conns: map[net.Conn]bool{}}
	t.Cleanup(func() {
		g.shut()
		g.running.Wait()
	})
	return g
}

// open has the server answer.
func (g *gate) open() {
	g.t.Helper()
	l, err := net.Listen("tcp4", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	g.l = l
	g.mu.Unlock()
	g.running.Go(func() { g.accept(l) })
}

// shut resets all connections and takes no more.
func (g *gate) shut() {
	g.mu.Lock()
	if g.l != nil {
		_ = g.l.Close()
	}
	g.mu.Unlock()
	g.reset()
}

// reset resets all connections.
func (g *gate) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		reset(c)
	}
}

// reset ends a TCP connection as a machine does that knows nothing of it.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

// hang lets nothing pass, in either direction, and leaves all connections open. The function that it returns undoes it.
func (g *gate) hang() (undo func()) {
	g.passing.Lock()
	return sync.OnceFunc(g.passing.Unlock)
}

func (g *gate) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		g.running.Go(func() { g.join(client) })
	}
}

func (g *gate) join(client net.Conn) {
	g.keep(client, true)
	defer g.keep(client, false)
	g.passing.RLock()
	server, err := net.Dial("tcp4", g.to)
	g.passing.RUnlock()
	if err != nil {
		reset(client)
		return
	}
	g.keep(server, true)
	defer g.keep(server, false)
	var both sync.WaitGroup
	both.Go(func() { g.copy(server, client) })
	both.Go(func() { g.copy(client, server) })
	both.Wait()
}

// keep remembers a connection, or closes and forgets it.
func (g *gate) keep(c net.Conn, live bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if live {
		g.conns[c] = true
		return
	}
	delete(g.conns, c)
	_ = c.Close()
}

// copy copies until either end fails, and ends both: databases and their clients half-close nothing.
func (g *gate) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		g.passing.RLock()
		_, err = to.Write(buffer[:n])
		g.passing.RUnlock()
		if err != nil {
			return
		}
	}
}
