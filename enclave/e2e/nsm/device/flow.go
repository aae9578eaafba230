package device

import (
	"errors"
	"io"
	"sync"
)

const (
	// room is how much of one connection the guest may send ahead, in bytes.
	room = 256 << 10
	// mostData is what goes to the guest in one packet: its buffers have some 3.7 KiB, header included.
	mostData = 3 << 10
)

// stream is the end of a connection on this machine, a unix socket.
type stream interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// flow is one connection between a port of the guest and one of the parent.
type flow struct {
	ports ports
	conn  stream
	send  func(packet)

	mu       sync.Mutex // held while the fields below are used
	changed  sync.Cond
	arrived  []byte // from the guest, on its way to conn
	ended    bool   // the guest sends nothing more
	deaf     bool   // the guest reads nothing more
	gone     bool   // the connection is no more
	answered bool   // the guest accepted, or was the one to ask
	consumed uint32
	sent     uint32
	hisRoom  uint32
	hisTaken uint32
}

// ports names a flow.
type ports struct{ guest, parent uint32 }

func newFlow(p ports, conn stream, send func(packet)) *flow {
	f := &flow{ports: p, conn: conn, send: send}
	f.changed.L = &f.mu
	return f
}

// tell sends one packet of this flow. The lock is held.
func (f *flow) tell(o op, flags uint32, data []byte) {
	f.send(packet{fromPort: f.ports.parent, toPort: f.ports.guest, op: o, flags: flags, room: room, consumed: f.consumed, data: data})
}

// heard takes in a packet of the guest.
func (f *flow) heard(p packet) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.changed.Broadcast()
	f.hisRoom, f.hisTaken = p.room, p.consumed
	switch p.op {
	case opResponse:
		f.answered = true
	case opData:
		if len(f.arrived)+len(p.data) > room {
			f.reset()
			return
		}
		f.arrived = append(f.arrived, p.data...)
	case opShutdown:
		f.ended = f.ended || p.flags&noMoreWrites != 0
		f.deaf = f.deaf || p.flags&noMoreReads != 0
	case opAskCredit:
		f.tell(opCredit, 0, nil)
	case opReset:
		f.close()
	case opRequest, opCredit:
	}
}

// reset ends the flow and tells the guest. The lock is held.
func (f *flow) reset() {
	if !f.gone {
		f.tell(opReset, 0, nil)
	}
	f.close()
}

// close ends the flow. The lock is held.
func (f *flow) close() {
	f.gone = true
	_ = f.conn.Close()
	f.changed.Broadcast()
}

// run moves the bytes of a connection that both sides have agreed to, and returns when it is no more.
func (f *flow) run() {
	var back sync.WaitGroup
	back.Go(f.toGuest)
	f.toParent()
	back.Wait()
}

// accepted waits for the guest's answer to a request.
func (f *flow) accepted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.answered && !f.gone {
		f.changed.Wait()
	}
	return !f.gone
}

// toParent writes what came from the guest. It returns when the guest has closed both directions and has all of it written.
func (f *flow) toParent() {
	closed := false
	for {
		f.mu.Lock()
		for len(f.arrived) == 0 && !f.gone && (!f.ended || closed && !f.deaf) {
			f.changed.Wait()
		}
		data, ended, deaf, gone := f.arrived, f.ended, f.deaf, f.gone
		f.arrived = nil
		f.mu.Unlock()
		var err error
		switch {
		case gone:
			return
		case len(data) > 0:
			_, err = f.conn.Write(data)
		case ended && deaf:
			err = io.EOF
		default:
			closed, err = true, f.conn.CloseWrite()
		}
		f.mu.Lock()
		if err != nil {
			f.reset()
		} else if len(data) > 0 {
			f.consumed += uint32(len(data))
			f.tell(opCredit, 0, nil)
		}
		f.mu.Unlock()
	}
}

// toGuest sends what this machine writes, as far as the guest has room for it.
func (f *flow) toGuest() {
	buffer := make([]byte, mostData)
	for {
		f.mu.Lock()
		for f.free() == 0 && !f.gone {
			f.changed.Wait()
		}
		most := min(f.free(), mostData)
		f.mu.Unlock()
		n, err := f.conn.Read(buffer[:most])
		f.mu.Lock()
		switch {
		case f.gone:
			f.mu.Unlock()
			return
		case n > 0:
			f.sent += uint32(n)
			f.tell(opData, 0, append([]byte(nil), buffer[:n]...))
		case errors.Is(err, io.EOF):
			f.tell(opShutdown, noMoreWrites, nil)
			f.mu.Unlock()
			return
		case err != nil:
			f.reset()
		}
		f.mu.Unlock()
	}
}

// free is the guest's room for this flow. The lock is held.
func (f *flow) free() uint32 { return f.hisRoom - (f.sent - f.hisTaken) }
