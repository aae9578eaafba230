package main

import (
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// gate is standard output whose reader can stop reading.
type gate struct {
	out *output
	mu  sync.Mutex // held while nothing is read
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.out.Write(p)
}

func TestBlockedOutputHoldsNothingUp(t *testing.T) {
	w := newWorld(t, "")
	out := &gate{out: newOutput()}
	p := startTo(t, out, out.out, "run", "-c", w.config, anyHealthPort, "--set=parent.log_sink.max_lines_per_second=0")
	api, health := p.address(t, "ingress/api"), p.address(t, "health")
	p.address(t, "ingress/metrics") // the last to listen

	out.mu.Lock()
	logs := w.dial(t, wire.PortLogs)
	_ = logs.SetDeadline(time.Now().Add(patience))
	line := `{"message":"` + strings.Repeat("x", 60_000) + `"}` + "\n"
	for range 200 { // more than may wait
		if _, err := io.WriteString(logs, line); err != nil {
			t.Fatal(err)
		}
	}
	_ = logs.Close()
	first := dialTCP(t, api) // no enclave listens yet: a failure is logged
	_ = first.SetDeadline(time.Now().Add(patience))
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("a byte came without an enclave")
	}
	w.serve(t, wire.PortAPI)
	if got := ask(t, dialTCP(t, api), "sign"); got != "SIGN" {
		t.Errorf("answer %q", got)
	}
	session, _ := w.boot(t)
	if status, body := get(t, health, "/readyz"); status != 200 {
		t.Errorf("/readyz: %d %q", status, body)
	}
	if _, metrics := get(t, health, "/metrics"); strings.Contains(metrics, "containment_parent_log_lines_lost_total 0\n") ||
		!strings.Contains(metrics, "containment_parent_log_lines_lost_total ") {
		t.Error("no lost lines were counted")
	}

	out.mu.Unlock()
	p.out.await(t, "log lines were lost: standard output did not take them", `"lost":`)
	p.stop()
	p.end(t, 0)
	_ = session.Close()
	p.out.await(t, `"message":"stopped"`)
}

func TestBlockedOutputDoesNotHoldTheEnd(t *testing.T) {
	w := newWorld(t, "")
	out := &gate{out: newOutput()}
	p := startTo(t, out, out.out, "run", "-c", w.config, anyHealthPort)
	p.address(t, "ingress/metrics") // the last to listen
	out.mu.Lock()
	defer out.mu.Unlock()
	began := time.Now()
	p.stop()
	p.end(t, 0)
	if took := time.Since(began); took > flushLimit+5*time.Second {
		t.Errorf("the end took %v", took)
	}
}

// heed undoes an Ignore; signal.Reset alone leaves Ignored true.
func heed(s os.Signal) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, s)
	signal.Stop(c)
}

// TestBrokenOutput expects those who carry more than lines to outlive the reader of their output.
func TestBrokenOutput(t *testing.T) {
	w := newWorld(t, "")
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	for _, test := range []struct {
		args     string
		listener string
		outlives bool
	}{
		{"run " + anyHealthPort + " -c " + w.config, "health", true},
		{"ingress --listen " + address + " --enclave unix://" + string(w.dir) + "/9443.sock", "ingress/" + address, true},
		{"vsock-proxy --connect localhost:1 --listen unix://" + string(w.dir) + "/8001.sock", "egress/localhost:1", true},
		{"vsock-stdout --listen unix://" + string(w.dir) + "/7000.sock", "logs", false},
	} {
		t.Run(test.listener, func(t *testing.T) {
			heed(syscall.SIGPIPE)
			p := start(t, strings.Fields(test.args)...)
			p.address(t, test.listener)
			if got := signal.Ignored(syscall.SIGPIPE); got != test.outlives {
				t.Errorf("SIGPIPE is ignored: %t, want %t", got, test.outlives)
			}
			p.stop()
			p.end(t, 0)
		})
	}
}
