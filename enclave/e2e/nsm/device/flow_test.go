package device

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// linked gives a flow that the guest has begun, the other end of its socket, and what the guest hears.
func linked(t *testing.T, guestRoom uint32) (f *flow, parent net.Conn, heard chan packet) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: t.TempDir() + "/s", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	if parent, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	heard = make(chan packet, 1000)
	f = newFlow(ports{guest: 1025, parent: 7001}, near, func(p packet) { heard <- p })
	f.answered, f.hisRoom = true, guestRoom
	ended := make(chan struct{})
	go func() { f.run(); close(ended) }()
	t.Cleanup(func() {
		_ = parent.Close()
		f.mu.Lock()
		f.close()
		f.mu.Unlock()
		<-ended
	})
	return f, parent, heard
}

// next is the next packet that is for something.
func next(heard chan packet, o op) packet {
	for p := range heard {
		if p.op == o {
			return p
		}
	}
	return packet{}
}

func TestHalfClose(t *testing.T) {
	f, parent, heard := linked(t, 1<<20)
	f.heard(packet{op: opData, room: 1 << 20, data: []byte("question")})
	f.heard(packet{op: opShutdown, room: 1 << 20, flags: noMoreWrites})
	if got, err := io.ReadAll(parent); string(got) != "question" || err != nil {
		t.Fatalf("the parent read %q, %v", got, err)
	}
	if p := next(heard, opCredit); p.consumed != 8 || p.room != room {
		t.Errorf("the guest's credit: %d consumed of %d", p.consumed, p.room)
	}
	if _, err := io.WriteString(parent, "answer"); err != nil {
		t.Fatal(err)
	}
	if p := next(heard, opData); string(p.data) != "answer" || p.fromPort != 7001 || p.toPort != 1025 {
		t.Errorf("the guest heard %q from port %d to %d", p.data, p.fromPort, p.toPort)
	}
	_ = parent.Close()
	if p := next(heard, opShutdown); p.flags != noMoreWrites {
		t.Errorf("shutdown with flags %d", p.flags)
	}
	f.heard(packet{op: opShutdown, room: 1 << 20, flags: noMoreWrites | noMoreReads})
	next(heard, opReset) // the guest waits for it
}

// TestRoom has a guest that takes seven bytes and no more until it says so.
func TestRoom(t *testing.T) {
	f, parent, heard := linked(t, 7)
	if _, err := io.WriteString(parent, "seven bytes and more"); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	for got.Len() < 20 {
		p := next(heard, opData)
		got.Write(p.data)
		if len(p.data) > 7 {
			t.Fatalf("%d bytes at once", len(p.data))
		}
		f.heard(packet{op: opCredit, room: 7, consumed: uint32(got.Len())})
	}
	if got.String() != "seven bytes and more" {
		t.Errorf("the guest got %q", got.String())
	}
}

func TestGuestThatHeedsNoRoom(t *testing.T) {
	f, parent, heard := linked(t, 1<<20)
	f.heard(packet{op: opData, room: 1 << 20, data: make([]byte, room+1)})
	next(heard, opReset)
	if _, err := parent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the parent reads on: %v", err)
	}
}
