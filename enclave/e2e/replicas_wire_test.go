package e2e

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// statements has what PostgreSQL is asked for go through a gate, a call for each statement that is executed
// (https://www.postgresql.org/docs/current/protocol-message-formats.html). There is no TLS.
type statements struct {
	gate     *gate
	upstream string
	serving  sync.WaitGroup
}

// startStatements returns host:port of what leads to a server.
func startStatements(t *testing.T, g *gate, upstream string) (address string) {
	t.Helper()
	s := &statements{gate: g, upstream: upstream}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			s.serving.Go(func() { s.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.serving.Wait() // the processes have ended before
	})
	return l.Addr().String()
}

func (s *statements) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", s.upstream)
	if err != nil {
		return
	}
	c := &session{gate: s.gate, client: client, server: server, prepared: map[string]string{}, muted: make(chan struct{}), idle: make(chan struct{})}
	var answering sync.WaitGroup
	answering.Go(c.answer)
	c.ask()
	_, _ = client.Close(), server.Close()
	answering.Wait()
}

// session is one connection.
type session struct {
	gate           *gate
	client, server net.Conn
	prepared       map[string]string // SQL by the name of a prepared statement
	sql            string            // what is executed next, "" if nothing is
	muted          chan struct{}     // closed when nothing is to be answered any more
	idle           chan struct{}     // closed when the server has done what it was asked for after that
}

// message reads one, whose length comes after a first byte unless it is the first of a connection.
func message(r *bufio.Reader, kind int) ([]byte, error) {
	head := make([]byte, kind+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[kind:])
	if size < 4 || size > 1<<24 {
		return nil, fmt.Errorf("a message of %d bytes", size)
	}
	all := append(head, make([]byte, size-4)...)
	_, err := io.ReadFull(r, all[kind+4:])
	return all, err
}

// ask passes on what the client asks for. What belongs together goes together, so that a server never has half a statement.
func (c *session) ask() {
	r := bufio.NewReader(c.client)
	together, err := message(r, 0)
	for ; err == nil; together, err = c.gather(r, together) {
		if _, err := c.server.Write(together); err != nil {
			return
		}
		together = together[:0]
	}
}

// gather reads to the end of what belongs together, and ends a session whose call is held.
func (c *session) gather(r *bufio.Reader, together []byte) ([]byte, error) {
	c.sql = ""
	for {
		m, err := message(r, 1)
		if err != nil {
			return nil, err
		}
		together = append(together, m...)
		switch c.note(m); m[0] {
		case 'Q', 'S': // a query, or the end of an extended one
			h := c.gate.next(c.sql)
			if h == nil {
				return together, nil
			}
			if h.after {
				close(c.muted)
				if _, err := c.server.Write(together); err != nil {
					return nil, err
				}
				<-c.idle
			}
			h.wait()
			return nil, io.EOF
		case 'P', 'B', 'D', 'E', 'C':
		default: // of the log-in, or the end
			return together, nil
		}
	}
}

// note remembers the SQL of a message.
func (c *session) note(m []byte) {
	part := bytes.SplitN(m[5:], []byte{0}, 3)
	switch m[0] {
	case 'Q':
		c.sql = string(part[0])
	case 'P':
		c.prepared[string(part[0])] = string(part[1])
	case 'B':
		c.sql = c.prepared[string(part[1])]
	}
}

// answer passes on what the server answers, as long as it is to be answered.
func (c *session) answer() {
	defer close(c.idle)
	r := bufio.NewReader(c.server)
	for {
		m, err := message(r, 1)
		if err != nil {
			return
		}
		select {
		case <-c.muted:
			if m[0] == 'Z' { // ReadyForQuery
				return
			}
		default:
			if _, err := c.client.Write(m); err != nil {
				return
			}
		}
	}
}
