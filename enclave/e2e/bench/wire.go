package main

import (
	"context"
	"net"
	"sync/atomic"
)

// wire makes connections and counts the round trips on them: answers that begin after something was sent.
type wire struct{ opened, trips atomic.Int64 }

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.opened.Add(1)
	return &wireConn{Conn: conn, trips: &w.trips}, nil
}

type wireConn struct {
	net.Conn
	trips *atomic.Int64
	asked atomic.Bool // something was sent since the last answer began
}

func (c *wireConn) Write(b []byte) (int, error) {
	c.asked.Store(true)
	return c.Conn.Write(b)
}

func (c *wireConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.asked.CompareAndSwap(true, false) {
		c.trips.Add(1)
	}
	return n, err
}
