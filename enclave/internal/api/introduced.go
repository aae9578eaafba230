package api

import (
	"net"
	"sync"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/proxyproto"
)

// introductionTimeout is how long a proxy may take to say whom it speaks for.
const introductionTimeout = 5 * time.Second

// Introduced is a listener each of whose connections begins with a PROXY protocol v2 header: their remote address is what that says. The
// proxy is not trusted: the address is for logs, and nothing may be decided by it but at which rate one client gets proofs of its
// connections: a host that lies about it denies a service that it can deny without. A connection without a header ends.
func Introduced(l net.Listener) net.Listener { return introducedListener{l} }

type introducedListener struct{ net.Listener }

func (l introducedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &introduced{Conn: c}, nil
}

// introduced reads its header when its remote address or its first byte is asked for, in the goroutine that serves it: a proxy that
// says nothing holds up nobody else.
type introduced struct {
	net.Conn
	once   sync.Once
	source net.Addr
	err    error
}

func (c *introduced) meet() {
	c.source = c.Conn.RemoteAddr()
	if c.err = c.SetReadDeadline(time.Now().Add(introductionTimeout)); c.err != nil {
		return
	}
	source, err := proxyproto.Read(c.Conn)
	if c.err = err; err != nil {
		return
	}
	if source.IsValid() {
		c.source = net.TCPAddrFromAddrPort(source)
	}
	c.err = c.SetReadDeadline(time.Time{})
}

// RemoteAddr is what the proxy says, or the proxy's own address if it says nothing.
func (c *introduced) RemoteAddr() net.Addr {
	c.once.Do(c.meet)
	return c.source
}

func (c *introduced) Read(b []byte) (int, error) {
	c.once.Do(c.meet)
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(b)
}
