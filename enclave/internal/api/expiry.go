package api

import (
	"net/http"
	"time"
)

// farewell is how long before its end a connection is told to its peer to be over, so that requests under way can finish.
const farewell = time.Minute

// Expire has the connection end at a time: a minute before, each answer says that it is the last, and at the end it is cut. A
// certificate source calls it in the handshake.
func (c *conn) Expire(at time.Time) {
	d := c.door
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.place == nil { // closed already
		return
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.expires = at
	c.timer = time.AfterFunc(time.Until(at), func() {
		d.expired.Inc()
		_ = c.Close()
	})
}

// leaving says that no further request should come on the connection.
func (c *conn) leaving() bool {
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	return c.timer != nil && time.Until(c.expires) < farewell
}

// bidFarewell has the answer to a request end its connection when that is near its end: over HTTP/2 the server sends GOAWAY then.
func bidFarewell(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if connection(r.Context()).leaving() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}
