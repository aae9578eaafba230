package api

import (
	"container/list"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// maxConnections is the most connections of one listener, unless the process may open fewer files. One that waits costs about
// 20 KiB, and with TLS twice that.
const maxConnections = 16384

// waitingPerConnection, times the most connections, is how many requests of a listener wait for their peers at once. It is above
// one, so that only HTTP/2, whose connections carry many requests, can reach it.
const waitingPerConnection = 2

// reservedFiles are left to everything but connections: databases, keys, logs.
const reservedFiles = 512

// listeners is how many listeners share the files of the process: main, TLS and metrics.
const listeners = 3

// door accepts connections and bounds how many there are. A connection waits for its peer unless a request of it is being served:
// it is in a handshake, sends headers or a body, reads an answer, or is idle. A newcomer to a full door displaces the
// one that has waited longest, so that however many are held open by peers who do nothing, others are let in; only when all are
// served is a newcomer closed at once. Requests that wait for their peers are bounded too: above, a connection with more than its
// share of them is closed.
type door struct {
	net.Listener
	most func() int

	mu      sync.Mutex
	open    list.List // of *conn; among those that wait, the longest waiting first
	room    int       // the most connections when the last one came
	waiting int       // requests of all that are open

	displaced, refused, expired prometheus.Counter
	now, limit                  prometheus.Gauge
}

// conn is a connection of a door. The fields are guarded by the door's mutex.
type conn struct {
	net.Conn
	door    *door
	place   *list.Element // nil when it is counted no longer
	served  int           // requests that are being served; above one only in HTTP/2
	waiting int           // requests that have come and are not: their bodies or answers are under way

	presented *x509.Certificate // in the handshake; nil if it is not known
	timer     *time.Timer       // cuts the connection when that ends; nil with it
	proofs    int               // that were asked for
	lists     int               // requests that hold a place of Limits.lists, or ask for one
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	for {
		nc, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c, ok := d.admit(nc); ok {
			return c, nil
		}
		_ = nc.Close()
		d.refused.Inc()
	}
}

func (d *door) admit(nc net.Conn) (*conn, bool) {
	room := d.most()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = room
	d.limit.Set(float64(room))
	if d.open.Len() >= room && !d.displace(0) {
		return nil, false
	}
	c := &conn{Conn: nc, door: d}
	c.place = d.open.PushBack(c)
	d.now.Set(float64(d.open.Len()))
	return c, true
}

// displace closes the connection that has waited longest of those with so many requests or more, if any waits. The mutex is held.
func (d *door) displace(requests int) bool {
	for e := d.open.Front(); e != nil; e = e.Next() {
		c := e.Value.(*conn) // the list holds nothing else
		if c.served > 0 || c.waiting < requests {
			continue
		}
		d.forget(c)
		d.displaced.Inc()
		_ = c.Conn.Close() // a socket's close does not wait
		return true
	}
	return false
}

// forget stops counting a connection. The mutex is held.
func (d *door) forget(c *conn) {
	if c.place != nil {
		d.open.Remove(c.place)
		d.waiting -= c.waiting
		c.place = nil
		if c.timer != nil {
			c.timer.Stop()
		}
		d.now.Set(float64(d.open.Len()))
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.door.mu.Lock()
	c.door.forget(c)
	c.door.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite is how net/http ends a connection whose peer still sends, so that the peer can read the answer first.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// enter counts a request whose headers have come. It waits for its peer. If too many do, the connection that has waited longest of
// those with more than their share goes, with all its requests; ok is false if there is none.
func (c *conn) enter() (ok bool) {
	d := c.door
	d.mu.Lock()
	defer d.mu.Unlock()
	c.wait(1)
	return d.waiting <= waitingPerConnection*d.room || d.displace(waitingPerConnection+1)
}

// leave is the end of a request that has entered.
func (c *conn) leave() {
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	c.wait(-1)
}

// begin says that a request is being served from now on.
func (c *conn) begin() {
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	c.wait(-1)
	c.served++
}

// end says that a request has been served, and waits for its peer again. So does the connection, if that was the last.
func (c *conn) end() {
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	c.wait(1)
	if c.served--; c.served == 0 && c.place != nil {
		c.door.open.MoveToBack(c.place)
	}
}

// takeList counts a request for a list, unless the connection has its share of them.
func (c *conn) takeList() bool {
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	if c.lists >= maxListsPerConnection {
		return false
	}
	c.lists++
	return true
}

// leaveList is the end of a request that takeList has counted.
func (c *conn) leaveList() {
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	c.lists--
}

// wait counts requests that begin or cease to wait. The mutex is held.
func (c *conn) wait(requests int) {
	c.waiting += requests
	if c.place != nil {
		c.door.waiting += requests
	}
}

type connectionKey struct{}

// remember makes a connection known to the requests that come on it. It is an http.Server's ConnContext.
func remember(ctx context.Context, nc net.Conn) context.Context {
	if secured, ok := nc.(*tls.Conn); ok {
		nc = secured.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, nc)
}

// connection is the one that a request came on.
func connection(ctx context.Context) *conn {
	return ctx.Value(connectionKey{}).(*conn) // a Server's are all of a door
}

type connectionMetrics struct {
	open, limit                 *prometheus.GaugeVec
	displaced, refused, expired *prometheus.CounterVec
}

func newConnectionMetrics() connectionMetrics {
	labels := []string{"listener"}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "containment_http_connections" + name, Help: help}, labels)
	}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "containment_http_connections_" + name + "_total", Help: help}, labels)
	}
	return connectionMetrics{
		open:      gauge("", "Open connections, by listener."),
		limit:     gauge("_limit", "The most open connections, by listener, as of the last that came."),
		displaced: counter("displaced", "Connections closed to make room, the longest waiting for their peers, by listener."),
		refused:   counter("refused", "Connections closed at once because requests of all others were being served, by listener."),
		expired:   counter("expired", "Connections cut because the evidence that their handshake showed has ended, by listener."),
	}
}

func (m connectionMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.open, m.limit, m.displaced, m.refused, m.expired}
}

func (l *Limits) door(name string, inner net.Listener) *door {
	m := l.connections
	return &door{
		Listener: inner, most: l.most,
		now: m.open.WithLabelValues(name), limit: m.limit.WithLabelValues(name),
		displaced: m.displaced.WithLabelValues(name), refused: m.refused.WithLabelValues(name), expired: m.expired.WithLabelValues(name),
	}
}

// connectionsFor is the most connections of one listener of a process that may open so many files.
func connectionsFor(files uint64) int {
	const least = 64
	return int(min(max(files, reservedFiles+least*listeners)-reservedFiles, maxConnections*listeners) / listeners)
}

// mostConnections is asked for each connection, because a process raises its limit of files after it has begun to listen.
func mostConnections() int {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return maxConnections
	}
	return connectionsFor(files.Cur)
}
