package postgres_test

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a store and its server, and spoils connections. It does not understand TLS.
type proxy struct {
	l        net.Listener
	upstream string
	running  sync.WaitGroup

	mu    sync.Mutex // held while the fields below are used
	conns []net.Conn
	// fault, if set, sees what one end sent before the other gets it, and returns what to do.
	fault func(fromClient bool, data []byte) verdict
	down  bool // new connections are closed at once
}

// verdict is what becomes of data and its connection.
type verdict int

const (
	pass        verdict = iota + 1
	cut                 // the data is lost and both ends are closed
	cutAfter            // the data arrives, then both ends are closed
	swallow             // the data is lost, and all that follows both ways, and nobody hears of it
	swallowBack         // the data arrives; all that follows is lost as with swallow
)

func newProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, upstream: upstream}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.closeAll()
		p.running.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.l.Addr().String() }

// spoil sets the fault, nil for none, and whether connections are taken.
func (p *proxy) spoil(down bool, fault func(fromClient bool, data []byte) verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down, p.fault = down, fault
}

func (p *proxy) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

func (p *proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		down := p.down
		p.mu.Unlock()
		server, err := net.Dial("tcp4", p.upstream)
		if down || err != nil {
			client.Close()
			if err == nil {
				server.Close()
			}
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		silent := new(atomic.Bool)
		p.running.Go(func() { p.pipe(client, server, true, silent) })
		p.running.Go(func() { p.pipe(server, client, false, silent) })
	}
}

func (p *proxy) pipe(from, to net.Conn, fromClient bool, silent *atomic.Bool) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if silent.Load() {
			continue
		}
		switch p.judge(fromClient, buffer[:n]) {
		case cut:
			return
		case swallow:
			silent.Store(true)
			continue
		case cutAfter:
			_, _ = to.Write(buffer[:n])
			return
		case swallowBack:
			silent.Store(true)
		case pass:
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) judge(fromClient bool, data []byte) verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == nil {
		return pass
	}
	return p.fault(fromClient, data)
}

// writes says that data, from a client, binds a statement that records votes.
func writes(fromClient bool, data []byte) bool {
	return fromClient && data[0] == 'B' && bytes.Contains(data, []byte("\x00advance_"))
}
