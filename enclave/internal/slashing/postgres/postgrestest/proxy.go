package postgrestest

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// Proxy stands between clients and a server, and spoils connections. It does not understand TLS. It is safe for concurrent use.
type Proxy struct {
	l       net.Listener
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	running sync.WaitGroup

	mu       sync.Mutex // held while the fields below are used
	upstream string
	conns    []net.Conn
	fault    func(fromClient bool, data []byte) Verdict
	down     bool // new connections are closed at once
}

// Verdict is what becomes of data and its connection.
type Verdict int

// What a fault can answer.
const (
	Pass        Verdict = iota + 1
	Cut                 // the data is lost and both ends are closed
	CutAfter            // the data arrives, then both ends are closed
	Swallow             // the data is lost, and all that follows both ways, and nobody hears of it
	SwallowBack         // the data arrives; all that follows is lost as with Swallow
)

// NewProxy starts a proxy that takes connections from l, and leads them to a server's address as dial reaches it.
func NewProxy(l net.Listener, dial func(ctx context.Context, network, address string) (net.Conn, error), upstream string) *Proxy {
	p := &Proxy{l: l, dial: dial, upstream: upstream}
	p.running.Go(p.accept)
	return p
}

// Close ends the proxy and its connections.
func (p *Proxy) Close() {
	_ = p.l.Close()
	p.CloseAll()
	p.running.Wait()
}

// Address is host:port where the proxy listens.
func (p *Proxy) Address() string { return p.l.Addr().String() }

// Spoil sets the fault, nil for none, and whether connections are closed at once. The fault sees what one end sent before the other gets
// it, one call at a time, and says what to do; it must not call the proxy.
func (p *Proxy) Spoil(down bool, fault func(fromClient bool, data []byte) Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down, p.fault = down, fault
}

// Lead has new connections go to another server's address. It does nothing to those that are there.
func (p *Proxy) Lead(upstream string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upstream = upstream
}

// CloseAll closes all connections that are there.
func (p *Proxy) CloseAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *Proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		down, upstream := p.down, p.upstream
		p.mu.Unlock()
		server, err := p.dial(context.Background(), "tcp4", upstream)
		if down || err != nil {
			_ = client.Close()
			if err == nil {
				_ = server.Close()
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

func (p *Proxy) pipe(from, to net.Conn, fromClient bool, silent *atomic.Bool) {
	defer func() { _, _ = from.Close(), to.Close() }()
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
		case Cut:
			return
		case Swallow:
			silent.Store(true)
			continue
		case CutAfter:
			_, _ = to.Write(buffer[:n])
			return
		case SwallowBack:
			silent.Store(true)
		case Pass:
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *Proxy) judge(fromClient bool, data []byte) Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == nil {
		return Pass
	}
	return p.fault(fromClient, data)
}
