package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"
)

// told is a connection that is told what its handshake shows.
type told struct {
	net.Conn
	leaf *x509.Certificate
}

func (c *told) Present(leaf *x509.Certificate) { c.leaf = leaf }

// TestConnectionsAreToldTheirCertificate, with which they end.
func TestConnectionsAreToldTheirCertificate(t *testing.T) {
	w := newHouse(t, newHypervisor(t, time.Now().Add(3*time.Hour)))
	w.run()
	near, far := net.Pipe()
	client := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	d := &told{Conn: near}
	done := make(chan error, 1)
	go func() { done <- tls.Server(d, w.ServerConfig()).HandshakeContext(t.Context()) }()
	c := tls.Client(far, client)
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if shown := c.ConnectionState().PeerCertificates[0]; !shown.Equal(d.leaf) {
		t.Errorf("the connection was told of %v, the client saw %v", d.leaf, shown)
	}
	_ = near.Close()
	_ = far.Close()
}
