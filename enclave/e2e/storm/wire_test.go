package storm

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// wire stands between a client and a server, and calls kill at a moment of one exchange. It does not understand TLS.
type wire struct {
	l       net.Listener
	running sync.WaitGroup

	mu    sync.Mutex // held while the fields below are used
	to    string     // address of the server
	conns []net.Conn
	armed *trap // nil while nothing is waited for
}

// trap waits for one exchange.
type trap struct {
	request func(data []byte) bool // whether these bytes, from the client, are the request
	at      stage
	kill    func()
}

// stage is a moment of an exchange.
type stage int

const (
	seen     stage = iota + 1 // the request is on its way, and never arrives
	half                      // a part of the request arrives
	sent                      // the request arrives, and nobody waits for what becomes of it
	answered                  // the answer is on its way, and never arrives
	told                      // the answer arrives
)

func newWire(t *testing.T) *wire {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{l: l}
	w.running.Go(w.accept)
	t.Cleanup(func() {
		l.Close()
		w.mu.Lock()
		for _, c := range w.conns {
			c.Close()
		}
		w.mu.Unlock()
		w.running.Wait()
	})
	return w
}

func (w *wire) address() string { return w.l.Addr().String() }

// lead says where the server is, for the connections to come.
func (w *wire) lead(to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = to
}

// arm sets the trap.
func (w *wire) arm(t *trap) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = t
}

func (w *wire) accept() {
	for {
		client, err := w.l.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		to := w.to
		w.mu.Unlock()
		server, err := net.Dial("tcp4", to)
		if err != nil {
			client.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, client, server)
		w.mu.Unlock()
		exchange := make(chan *trap, 1) // the trap whose request went this way
		w.running.Go(func() { w.requests(client, server, exchange) })
		w.running.Go(func() { w.answers(server, client, exchange) })
	}
}

// caught returns the trap if these bytes are what it waits for, and disarms it.
func (w *wire) caught(data []byte) *trap {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.armed
	if t == nil || !t.request(data) {
		return nil
	}
	w.armed = nil
	return t
}

func (w *wire) requests(client, server net.Conn, exchange chan<- *trap) {
	defer client.Close()
	defer server.Close()
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		data := buffer[:n]
		t := w.caught(data)
		switch {
		case t == nil:
		case t.at == seen:
			t.kill()
			return
		case t.at == half:
			data = data[:rand.IntN(n-lastMessage)]
			_, _ = server.Write(data)
			t.kill()
			return
		case t.at == sent:
			_, _ = server.Write(data)
			t.kill()
			return
		default:
			exchange <- t
		}
		if _, err := server.Write(data); err != nil {
			return
		}
	}
}

// lastMessage is the length of what ends a request over PostgreSQL's protocol, its Sync: without it nothing is committed.
const lastMessage = 5

func (w *wire) answers(server, client net.Conn, exchange <-chan *trap) {
	defer client.Close()
	defer server.Close()
	buffer := make([]byte, 1<<16)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		var t *trap
		select {
		case t = <-exchange:
		default:
		}
		if t != nil && t.at == answered {
			t.kill()
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
		if t != nil {
			t.kill()
		}
	}
}
