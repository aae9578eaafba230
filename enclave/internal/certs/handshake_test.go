package certs_test

import (
	"crypto/tls"
	"net"
	"testing"
)

// handshake joins a server and a client and returns what the client saw.
func handshake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	near, far := net.Pipe()
	s, c := tls.Server(near, server), tls.Client(far, client)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.HandshakeContext(t.Context()) // the client says what went wrong
		_ = near.Close()
	}()
	err := c.HandshakeContext(t.Context())
	_ = far.Close()
	<-done
	return c.ConnectionState(), err
}
