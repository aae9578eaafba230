package main

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func TestStdoutAlone(t *testing.T) {
	w := newWorld(t, "")
	p := start(t, "vsock-stdout", "--listen", "unix://"+string(w.dir)+"/7000.sock")
	p.address(t, "logs")
	c := w.dial(t, wire.PortLogs)
	_, _ = io.WriteString(c, `{"message":"hello"}`+"\n")
	_ = c.Close()
	if line := p.out.await(t, "hello"); line != `{"message":"hello"}`+"\n" {
		t.Errorf("line %q", line)
	}
	p.stop()
	p.end(t, 0)
}

func TestProxyAlone(t *testing.T) {
	w := newWorld(t, "")
	target := net.JoinHostPort("localhost", tcpServer(t))
	p := start(t, "vsock-proxy", "--listen", "unix://"+string(w.dir)+"/8001.sock", "--connect", target, "--plain", "--allow-loopback")
	p.address(t, "egress/"+target)
	if got := ask(t, w.dial(t, 8001), "quiet"); got != "QUIET" {
		t.Errorf("answer %q", got)
	}
	p.stop()
	p.end(t, 0)
}

func TestIngressAlone(t *testing.T) {
	w := newWorld(t, "")
	w.serve(t, 9443)
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	p := start(t, "ingress", "--listen", address, "--enclave", "unix://"+string(w.dir)+"/9443.sock")
	p.address(t, "ingress/"+address)
	if got := ask(t, dialTCP(t, address), "quiet"); got != "QUIET" {
		t.Errorf("answer %q", got)
	}
	second := start(t, "ingress", "--listen", address, "--enclave", "unix://"+string(w.dir)+"/9443.sock")
	second.end(t, 1)
	if text, _ := second.errors.read(); !strings.Contains(text, address+": bind: address already in use") {
		t.Errorf("standard error %q", text)
	}
	p.stop()
	p.end(t, 0)
}
