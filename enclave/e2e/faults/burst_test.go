//go:build linux

package faults

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// crowd is how many connections come at once.
const crowd = 2000

// reception is what became of connections that came at once.
type reception struct {
	served, refused, waiting int
	slowest                  time.Duration // until the last one was refused
}

func (r reception) String() string {
	return fmt.Sprintf("%d connections: %d served, %d refused within %v", crowd, r.served, r.refused, r.slowest.Round(time.Millisecond))
}

// comes has a crowd connect and ask at once. All stay until the last one was served or refused. Whoever is neither within the deadline
// waits.
func comes(dial func(i int) (net.Conn, error), ask func(net.Conn) error) reception {
	var r reception
	var mu sync.Mutex // held while r is changed
	var all, asked sync.WaitGroup
	begin := make(chan struct{})
	asked.Add(crowd)
	for i := range crowd {
		all.Go(func() {
			<-begin
			began := time.Now()
			c, err := dial(i)
			if err == nil {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(2 * deadline)) // as many handshakes at once take their time
				err = ask(c)
			}
			mu.Lock()
			switch {
			case err == nil:
				r.served++
			case errors.Is(err, os.ErrDeadlineExceeded):
				r.waiting++
			default:
				r.refused++
				r.slowest = max(r.slowest, time.Since(began))
			}
			mu.Unlock()
			asked.Done()
			asked.Wait()
		})
	}
	close(begin)
	all.Wait()
	return r
}

// expect checks that as many were served as there was room for, and that nobody was left waiting.
func (s *strike) expect(r reception, least, most int) {
	s.Helper()
	s.note("%v", r)
	if r.served < least || r.served > most || r.waiting > 0 {
		s.Errorf("%v, %d neither; want %d to %d served, the others refused", r, r.waiting, least, most)
	}
}

// bursts are those of many connections at once.
func (w *world) bursts() {
	w.fault("many connections at once from one client", func(s *strike) {
		from := loopback()
		r := comes(func(int) (net.Conn, error) { return w.connect(from.String()) }, upcheck)
		s.expect(r, maxPerSource, maxPerSource)
		w.await("room for a newcomer", func() bool { return w.welcome() == nil })
	})
	w.fault("many connections at once from many clients", func(s *strike) {
		var from [100]string
		for i := range from {
			from[i] = loopback().String()
		}
		r := comes(func(i int) (net.Conn, error) { return w.connect(from[i%len(from)]) }, upcheck)
		s.expect(r, maxIngress-spare, maxIngress-len(w.callers))
		w.await("room for a newcomer", func() bool { return w.welcome() == nil })
	})
	w.fault("many connections at once by a route", func(s *strike) {
		r := comes(func(int) (net.Conn, error) { return w.fromEnclave(storePort) }, speaksPostgres)
		s.expect(r, maxEgress-spare, maxEgress)
		w.await("room for a newcomer", func() bool { return w.welcome() == nil })
	})
}

// welcome is nil if a newcomer is served.
func (w *world) welcome() error {
	c, err := w.connect("127.0.0.1")
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(deadline))
	return upcheck(c)
}

// connect connects to the API from an address.
func (w *world) connect(from string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 2 * deadline}
	return d.DialContext(context.Background(), "tcp4", w.api)
}

// fromEnclave connects to a port of the parent as the enclave does.
func (w *world) fromEnclave(port int) (*net.UnixConn, error) {
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(w.dir, "s", fmt.Sprintf("%d.sock", port)), Net: "unix"})
}

// upcheck asks the signer whether it lives.
func upcheck(c net.Conn) error {
	client := tls.Client(c, &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, // nothing is sent that matters
		CurvePreferences: []tls.CurveID{tls.X25519}, // the cheapest: a crowd on this machine is not to take the signer's time
	})
	if _, err := io.WriteString(client, "GET /upcheck HTTP/1.1\r\nHost: signer\r\n\r\n"); err != nil {
		return err
	}
	_, err := io.ReadFull(client, make([]byte, len("HTTP/1.1 200")))
	return err
}

// speaksPostgres asks whether the server speaks TLS (PostgreSQL's documentation, 55.2.10), which it answers by a letter.
func speaksPostgres(c net.Conn) error {
	if _, err := c.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}
