package awscreds

import (
	"net"
	"slices"
	"sync"
	"time"
)

// roomyConn has a buffer for what it sends, as a kernel's has. Without one, two ends that say goodbye at once wait for each other, in
// mutexes, which stop virtual time.
type roomyConn struct {
	net.Conn
	mu     sync.Mutex // held while the fields below are used
	out    chan []byte
	closed bool
}

// goodbye is how long the buffer may take to empty after Close.
const goodbye = time.Second

func roomy(c net.Conn) *roomyConn {
	r := &roomyConn{Conn: c, out: make(chan []byte, 64)}
	go func() {
		for b := range r.out {
			_, _ = c.Write(b)
		}
		_ = c.Close()
	}()
	return r
}

func (c *roomyConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	c.out <- slices.Clone(p)
	return len(p), nil
}

// SetWriteDeadline would cut off what is in the buffer: TLS sets one when it has said goodbye.
func (*roomyConn) SetWriteDeadline(time.Time) error { return nil }

func (c *roomyConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		close(c.out)
		return c.Conn.SetDeadline(time.Now().Add(goodbye))
	}
	return nil
}

// roomyListener makes what it accepts roomy.
type roomyListener struct{ net.Listener }

func (l roomyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return roomy(c), nil
}
