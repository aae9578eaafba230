//go:build linux

package faults

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
)

// names is a name server of the parent's alone, which knows one answer to all questions.
type names struct {
	conn *net.UDPConn

	mu      sync.Mutex // held while the fields below are used
	address netip.Addr
	ttl     uint32 // seconds
	dead    bool   // it does not answer
}

// newNames starts a name server.
func newNames(t *testing.T) *names {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	n := &names{conn: c}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.serve()
	}()
	t.Cleanup(func() {
		c.Close()
		<-ended
	})
	return n
}

// under is the command that runs the parent with this name server, as build made it.
func (n *names) under(program string, args ...string) (string, []string) {
	return "env", append([]string{"FAULTS_NAME_SERVER=" + n.conn.LocalAddr().String(), program}, args...)
}

// lead sets the answer.
func (n *names) lead(to netip.Addr, ttl uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.address, n.ttl = to, ttl
}

// die has the server say nothing. The function that it returns undoes it.
func (n *names) die() (undo func()) {
	set := func(dead bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.dead = dead
	}
	set(true)
	return func() { set(false) }
}

func (n *names) serve() {
	b := make([]byte, 1500)
	for {
		size, from, err := n.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			if errors.Is(err, syscall.ECONNREFUSED) { // somebody did not wait for an answer
				continue
			}
			return
		}
		if answer := n.answer(b[:size]); answer != nil {
			_, _ = n.conn.WriteToUDPAddrPort(answer, from)
		}
	}
}

// answer answers a question (RFC 1035, section 4) for A by the address, and for other types by nothing.
func (n *names) answer(question []byte) []byte {
	const header, typeA = 12, 1
	n.mu.Lock()
	defer n.mu.Unlock()
	end := header
	for end < len(question) && question[end] != 0 {
		end += 1 + int(question[end])
	}
	end += 5 // the end of the name, type and class
	if n.dead || end > len(question) {
		return nil
	}
	a := append([]byte(nil), question[:end]...)
	binary.BigEndian.PutUint16(a[2:], 0x8180) // a response, without error
	for i := 6; i < header; i++ {
		a[i] = 0 // no records besides the question
	}
	if binary.BigEndian.Uint16(a[end-4:]) == typeA {
		a[7] = 1
		a = append(a, 0xc0, header, 0, typeA, 0, 1) // of the name in the question
		a = binary.BigEndian.AppendUint32(a, n.ttl)
		a = append(a, 0, 4)
		a = append(a, n.address.AsSlice()...)
	}
	return a
}
