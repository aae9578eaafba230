package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
)

// address is one that stays when a database moves, as a name or a virtual address does.
type address struct {
	port     int
	l        net.Listener
	carrying sync.WaitGroup

	mu    sync.Mutex // held while the fields below are used
	leads string     // host:port
	conns []net.Conn
}

func newAddress(t *testing.T, leads string) *address {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &address{port: l.Addr().(*net.TCPAddr).Port, l: l, leads: leads}
	a.carrying.Go(a.accept)
	t.Cleanup(func() {
		_ = l.Close()
		a.move("")
		a.carrying.Wait()
	})
	return a
}

// move has new connections lead elsewhere, and ends those that there are.
func (a *address) move(leads string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leads = leads
	for _, c := range a.conns {
		_ = c.Close()
	}
	a.conns = nil
}

func (a *address) accept() {
	for {
		client, err := a.l.Accept()
		if err != nil {
			return
		}
		a.carry(client)
	}
}

func (a *address) carry(client net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	server, err := net.Dial("tcp4", a.leads)
	if err != nil {
		_ = client.Close()
		return
	}
	a.conns = append(a.conns, client, server)
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		a.carrying.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
			_ = way[1].Close()
		})
	}
}
