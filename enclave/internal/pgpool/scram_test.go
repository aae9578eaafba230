package pgpool_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

// curious is a server that asks for the password in clear, and keeps what it is told.
type curious struct {
	net.Listener
	mu   sync.Mutex // held while told is used
	told bytes.Buffer
}

func (c *curious) serve() {
	for {
		conn, err := c.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Read(make([]byte, 4096))                   // the startup message
		_, _ = conn.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 3}) // AuthenticationCleartextPassword
		answer, _ := io.ReadAll(io.LimitReader(conn, 5+int64(len(postgrestest.Password))))
		c.mu.Lock()
		c.told.Write(answer)
		c.mu.Unlock()
		_ = conn.Close()
	}
}

// TestSCRAM: a server that does not know the password is not told it, if the options insist, and one that knows it is taken.
func TestSCRAM(t *testing.T) {
	for _, insists := range []bool{true, false} {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c := &curious{Listener: l}
		var serving sync.WaitGroup
		serving.Go(c.serve)
		o := options("")
		o.URL, o.SCRAM = shared.PlainURL(l.Addr().String(), "d"), insists
		if _, err := ask(t, o); err == nil {
			t.Error("a server that is none was taken")
		}
		_ = l.Close()
		serving.Wait()
		if told := bytes.Contains(c.told.Bytes(), []byte(postgrestest.Password)); told == insists {
			t.Errorf("SCRAM %v: told the password %v", insists, told)
		}
	}
	o := options(newDatabase(t))
	o.SCRAM = true
	if _, err := ask(t, o); err != nil {
		t.Error(err)
	}
	o.URL = shared.PlainURL(shared.Address(), newDatabase(t))
	if _, err := ask(t, o); err == nil {
		t.Error("a connection was taken to which a proof cannot be bound")
	}
}
