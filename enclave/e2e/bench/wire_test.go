package main

import (
	"io"
	"net"
	"testing"
)

func TestWire(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var w wire
	client, err := w.dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for _, step := range []struct {
		what     string
		from, to net.Conn
		trips    int64
	}{
		{"a greeting answers nothing", server, client, 0},
		{"a question", client, server, 0},
		{"and more of it", client, server, 0},
		{"its answer", server, client, 1},
		{"and more of it", server, client, 1},
		{"a second question", client, server, 1},
		{"its answer", server, client, 2},
	} {
		if _, err := step.from.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(step.to, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if got := w.trips.Load(); got != step.trips {
			t.Errorf("%s: %d round trips, want %d", step.what, got, step.trips)
		}
	}
	if got := w.opened.Load(); got != 1 {
		t.Errorf("%d connections opened, want 1", got)
	}
}

func TestWireNobody(t *testing.T) {
	var w wire
	if conn, err := w.dial(t.Context(), "tcp", "127.0.0.1:0"); err == nil || w.opened.Load() != 0 {
		t.Errorf("connected to nobody: %v, %d opened", conn, w.opened.Load())
	}
}
