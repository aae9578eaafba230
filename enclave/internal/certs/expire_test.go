package certs_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"
)

// doomed is a connection that is told its end.
type doomed struct {
	net.Conn
	end time.Time
}

func (d *doomed) Expire(at time.Time) { d.end = at }

// TestConnectionsEndWithTheirCertificate: the connection is told in the handshake, with the certificate that it is shown.
func TestConnectionsEndWithTheirCertificate(t *testing.T) {
	w := newHouse(t, newHypervisor(t, time.Now().Add(3*time.Hour)))
	w.run()
	near, far := net.Pipe()
	client := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	d := &doomed{Conn: near}
	done := make(chan error, 1)
	go func() { done <- tls.Server(d, w.ServerConfig()).HandshakeContext(t.Context()) }()
	c := tls.Client(far, client)
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if shown := c.ConnectionState().PeerCertificates[0].NotAfter; !d.end.Equal(shown) {
		t.Errorf("the connection ends at %s, its certificate at %s", d.end, shown)
	}
	_ = near.Close()
	_ = far.Close()
}
