package api

import (
	"context"
	"crypto/x509"
	"net/http"
	"time"
)

// farewell is how long before its end a connection is told to its peer to be over, so that requests under way can finish.
const farewell = time.Minute

// Present tells a connection which certificate its handshake shows, and has it end with that: a minute before, each answer says that
// it is the last, and at the end it is cut. A certificate source calls it.
func (c *conn) Present(leaf *x509.Certificate) {
	d := c.door
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.place == nil { // closed already
		return
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.presented = leaf
	c.timer = time.AfterFunc(time.Until(leaf.NotAfter), func() {
		d.expired.Inc()
		_ = c.Close()
	})
}

// Presented is the certificate that the handshake of a request's connection showed; nil if nobody told.
func Presented(ctx context.Context) *x509.Certificate {
	c, ok := ctx.Value(connectionKey{}).(*conn)
	if !ok {
		return nil
	}
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	return c.presented
}

// CountProof counts a proof that is asked for on a request's connection, and returns how many that makes.
func CountProof(ctx context.Context) int {
	c, ok := ctx.Value(connectionKey{}).(*conn)
	if !ok {
		return 1
	}
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	c.proofs++
	return c.proofs
}

// leaving says that no further request should come on the connection.
func (c *conn) leaving() bool {
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	return c.timer != nil && time.Until(c.presented.NotAfter) < farewell
}

// bidFarewell has the answer to a request end its connection when that is near its end, or when clients are to leave: over HTTP/2 the
// server sends GOAWAY then. A client that is told so sends nothing more on it; one whose idle connection is closed may have sent.
func (l *Limits) bidFarewell(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.draining() || connection(r.Context()).leaving() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}
