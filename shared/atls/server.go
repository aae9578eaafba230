package atls

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

// DialFunc opens a connection, as [net.Dialer.DialContext] does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// server makes verified connections to one address.
type server struct {
	address  string // host:port
	verifier *verifier
	dial     DialFunc
	http     *http.Transport // speaks HTTP over connections that connect gives it, and opens none
}

// connected is a verified connection.
type connected struct {
	http  *http.ClientConn
	state tls.ConnectionState
	peer  Peer
}

// multiplexed tells whether it carries several requests at a time.
func (c connected) multiplexed() bool { return c.state.NegotiatedProtocol == "h2" }

// handshaked is the context's key of the connection that a server's http.Transport is to take.
type handshaked struct{}

func newServer(address string, v *verifier, dial DialFunc) *server {
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return &server{address: address, verifier: v, dial: dial, http: &http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, ok := ctx.Value(handshaked{}).(*tls.Conn)
			if !ok {
				return nil, errors.New("attested TLS: no connection was made") // only connect asks for one
			}
			return conn, nil
		},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // who wants it asks for it
		MaxResponseHeaderBytes: 64 << 10,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}, // for a peer that went without a word
	}}
}

// connect dials, verifies, and, if the policy demands it, has the server prove itself on this connection.
func (s *server) connect(ctx context.Context) (connected, error) {
	c, err := s.handshake(ctx)
	if err == nil && s.verifier.Policy.Proof == attestation.ProofPerConnection {
		if c.peer, err = s.verifier.prove(ctx, c.http, s.address, &c.state, c.peer); err != nil {
			_ = c.http.Close() // refused already
		}
	}
	if err != nil {
		return connected{}, fmt.Errorf("connect to %s: %w", s.address, err)
	}
	s.verifier.verified(c.peer)
	return c, nil
}

func (s *server) handshake(ctx context.Context) (connected, error) {
	raw, err := s.dial(ctx, "tcp", s.address)
	if err != nil {
		return connected{}, err
	}
	var c connected
	config := s.verifier.config(func(p Peer) { c.peer = p })
	config.NextProtos = []string{"h2", "http/1.1"}
	if host, _, err := net.SplitHostPort(s.address); err == nil && net.ParseIP(host) == nil {
		config.ServerName = host // for whoever routes by it; it is not verified
	}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // refused already
		return connected{}, err
	}
	c.state = conn.ConnectionState()
	if c.http, err = s.http.NewClientConn(context.WithValue(ctx, handshaked{}, conn), "https", s.address); err != nil {
		_ = conn.Close() // refused already
		return connected{}, err
	}
	return c, nil
}

// Observe makes one connection to a server, verifies everything but what the policy leaves open, closes it and returns whom it met.
// Here the policy may name no sets: then any program is accepted that is not in debug mode, so that a person can look at it and decide.
// Nothing is sent except the request for a proof, if the policy demands one. It ends with ctx. A nil dial is TCP from this machine.
func Observe(ctx context.Context, address string, o Options, dial DialFunc) (Peer, error) {
	v, err := newVerifier(o, true)
	if err != nil {
		return Peer{}, err
	}
	c, err := newServer(address, v, dial).connect(ctx)
	if err != nil {
		return Peer{}, err
	}
	_ = c.http.Close() // nothing is under way
	return c.peer, nil
}
