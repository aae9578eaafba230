package egress

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// maxHello is the most bytes of a ClientHello with its record headers. Those of our clients have less than 2 KiB.
const maxHello = 16 << 10

// helloOf reads from c as far as its TLS ClientHello (RFC 8446 §4.1.2) goes, and maybe further. It returns what was read, for the target, and
// the server name in it, "" without one.
func helloOf(c net.Conn) (read []byte, name string, err error) {
	seen := &recorder{Conn: c}
	found := errors.New("found")
	err = tls.Server(seen, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name = h.ServerName
		return nil, found
	}}).Handshake()
	switch {
	case errors.Is(err, found):
		return seen.read, name, nil
	case seen.err != nil && !errors.Is(seen.err, errLongHello):
		return nil, "", fmt.Errorf("read the ClientHello: %w", seen.err)
	}
	return nil, "", notTLSError{err}
}

// notTLSError says that a client of a TLS route speaks something else.
type notTLSError struct{ err error }

func (e notTLSError) Error() string {
	return fmt.Sprintf("no TLS ClientHello, and the route is not marked plain: %v", e.err)
}

// recorder is a connection that is only read, and what was read from it.
type recorder struct {
	net.Conn
	read []byte
	err  error // of reading
}

var errLongHello = fmt.Errorf("more than %d bytes", maxHello)

func (r *recorder) Read(b []byte) (int, error) {
	room := maxHello - len(r.read)
	if room == 0 {
		r.err = errLongHello
		return 0, r.err
	}
	n, err := r.Conn.Read(b[:min(len(b), room)])
	r.read = append(r.read, b[:n]...)
	if err != nil {
		r.err = err
	}
	return n, err
}

// Write drops the alert: the client is told by the end of its connection, as it is when the target cannot be reached.
func (*recorder) Write(b []byte) (int, error) { return len(b), nil }

// matches says whether a server name is the one that a client of host sends: none for an IP address (RFC 6066 §3).
func matches(name, host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return name == ""
	}
	return strings.EqualFold(name, strings.TrimSuffix(host, "."))
}
