package main

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func TestWholeParent(t *testing.T) {
	w := newWorld(t, "{name: db, host: localhost, port: "+tcpServer(t)+", vsock_port: 8001, plain: true}", "unknown_to_the_parent: {kept: 010}")
	t.Setenv("CONTAINMENT_SIGNING__CONCURRENCY_LIMIT", "7")
	p := w.start(t)
	health := p.address(t, "health")
	if status, body := get(t, health, "/readyz"); status != 503 || !strings.Contains(body, "no enclave has acknowledged its configuration yet") {
		t.Errorf("/readyz before the enclave came: %d %q", status, body)
	}

	session, configuration := w.boot(t)
	for _, want := range []string{"kept: 010\n", "concurrency_limit: \"7\"\n", "host: localhost", "listen_port: \"0\"\n"} {
		if !strings.Contains(string(configuration), want) {
			t.Errorf("configuration has no %q:\n%s", want, configuration)
		}
	}
	p.out.await(t, "enclave acknowledged its configuration", "d16e57")
	if status, body := get(t, health, "/readyz"); status != 200 {
		t.Errorf("/readyz of a whole split: %d %q", status, body)
	}

	logs := w.dial(t, wire.PortLogs)
	_, _ = io.WriteString(logs, `{"level":"info","message":"signed"}`+"\n"+"panic: \x1b[31mred\n"+`{"cut":`)
	_ = logs.Close()
	if line := p.out.await(t, "signed"); line != `{"level":"info","message":"signed"}`+"\n" {
		t.Errorf("the enclave's line arrived as %q", line)
	}
	p.out.await(t, "not a JSON object", `"process":"parent"`, `panic: \\u001b[31mred`)
	p.out.await(t, "ended early", `{\"cut\":`)

	long := strings.Repeat("attestation ", 50_000)
	for _, entrance := range []struct {
		name string
		port uint32
	}{{"api", wire.PortAPI}, {"health", wire.PortHealth}, {"metrics", wire.PortMetrics}} {
		address := p.address(t, "ingress/"+entrance.name)
		if _, err := dialTCP(t, address).Read(make([]byte, 1)); err == nil {
			t.Errorf("%s without a listening enclave: a byte came", entrance.name)
		}
		w.serve(t, entrance.port)
		if got := ask(t, dialTCP(t, address), long); got != strings.ToUpper(long) {
			t.Errorf("%s: answer of %d bytes, want %d", entrance.name, len(got), len(long))
		}
	}
	if got := ask(t, w.dial(t, 8001), long); got != strings.ToUpper(long) {
		t.Errorf("egress: answer of %d bytes, want %d", len(got), len(long))
	}

	_, metrics := get(t, health, "/metrics")
	for _, want := range []string{
		"containment_parent_enclave_alive 1\n",
		`containment_parent_connections_accepted_total{listener="egress/db"} 1` + "\n",
		`containment_parent_dial_failures_total{listener="ingress/api",reason="refused"} 1` + "\n",
		"containment_parent_log_sink_lines_total 1\n",
		"containment_parent_log_sink_odd_lines_total 2\n",
		`containment_parent_task_failures_total{task="boot"} 0` + "\n",
		"go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics have no %q", want)
		}
	}

	p.stop()
	p.end(t, 0)
	_ = session.Close()
	for _, port := range []uint32{wire.PortBoot, wire.PortLogs, 8001} {
		if _, err := w.dir.Dial(t.Context(), 3, port); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("port %d after the end: %v", port, err)
		}
	}
}

func TestDrainLetsRequestsFinish(t *testing.T) {
	w := newWorld(t, "{name: db, host: localhost, port: "+tcpServer(t)+", vsock_port: 8001, plain: true}")
	p := w.start(t)
	w.serve(t, wire.PortAPI)
	api := p.address(t, "ingress/api")
	open := dialTCP(t, api)
	if _, err := io.WriteString(open, "half a req"); err != nil {
		t.Fatal(err)
	}
	health := p.address(t, "health")
	awaitMetric(t, health, `containment_parent_connections_active{listener="ingress/api"} 1`)

	p.stop()
	p.out.await(t, `"message":"stopping"`)
	// Refused, or closed at once if it came between the word and the deed.
	if c, err := new(net.Dialer).DialContext(t.Context(), "tcp", api); err == nil {
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a new client in the drain was taken in: %v", err)
		}
		_ = c.Close()
	}
	if status, body := get(t, health, "/readyz"); status != 503 || !strings.HasPrefix(body, "stopping") {
		t.Errorf("/readyz in the drain: %d %q", status, body)
	}
	// What the enclave needs to finish the request still works.
	if got := ask(t, w.dial(t, 8001), "claim"); got != "CLAIM" {
		t.Errorf("egress in the drain: %q", got)
	}
	if got := ask(t, open, "uest"); got != "HALF A REQUEST" {
		t.Errorf("the request that was under way: %q", got)
	}
	p.end(t, 0)
}

// TestLogSinkStaysLast has an enclave that still uses its database: what it logs meanwhile must find a listener.
func TestLogSinkStaysLast(t *testing.T) {
	w := newWorld(t, "{name: db, host: 127.0.0.1, port: "+tcpServer(t)+", vsock_port: 8001, plain: true}")
	p := w.start(t)
	health := p.address(t, "health")
	database := w.dial(t, 8001)
	awaitMetric(t, health, `containment_parent_connections_active{listener="egress/db"} 1`)
	p.stop()
	awaitGone(t, w, wire.PortBoot) // the egress listener ended with it; its connection lives
	logs := w.dial(t, wire.PortLogs)
	_, _ = io.WriteString(logs, `{"message":"slashing store closed"}`+"\n")
	_ = logs.Close()
	p.out.await(t, "slashing store closed")
	if got := ask(t, database, "bye"); got != "BYE" {
		t.Errorf("the database answered %q", got)
	}
	p.end(t, 0)
}

// awaitGone waits until nobody listens on a port of the parent.
func awaitGone(t *testing.T, w world, port uint32) {
	t.Helper()
	late := time.After(patience)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		c, err := w.dir.Dial(t.Context(), 3, port)
		if err != nil {
			return
		}
		_ = c.Close()
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("port %d is still served", port)
		}
	}
}

// awaitMetric asks until the line is there.
func awaitMetric(t *testing.T, address, line string) {
	t.Helper()
	late := time.After(patience)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		_, metrics := get(t, address, "/metrics")
		if strings.Contains(metrics, line+"\n") {
			return
		}
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("metrics have no %q", line)
		}
	}
}

func TestHangingPeersDoNotHoldTheEnd(t *testing.T) {
	w := newWorld(t, "{name: db, host: 127.0.0.1, port: "+tcpServer(t)+", vsock_port: 8001, plain: true}")
	p := w.start(t, "--set", "parent.drain_timeout_seconds=1")
	w.serve(t, wire.PortAPI)
	health := p.address(t, "health")
	p.address(t, "ingress/metrics") // the last to listen
	silent := []net.Conn{dialTCP(t, p.address(t, "ingress/api")), w.dial(t, wire.PortBoot), w.dial(t, wire.PortLogs), w.dial(t, 8001)}
	awaitMetric(t, health, `containment_parent_connections_active{listener="egress/db"} 1`)
	began := time.Now()
	p.stop()
	p.end(t, 0)
	if took := time.Since(began); took < time.Second || took > 5*time.Second {
		t.Errorf("the end took %v, want the drain time of 1s", took)
	}
	for _, c := range silent {
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("connection to %v is still open", c.RemoteAddr())
		}
		_ = c.Close()
	}
}

func TestGarbageOnEveryListener(t *testing.T) {
	w := newWorld(t, "{name: db, host: 127.0.0.1, port: "+tcpServer(t)+", vsock_port: 8001, plain: true}")
	p := w.start(t)
	w.serve(t, wire.PortAPI)
	// Few lines: the log sink's limit would drop the good one in the same second.
	garbage := "\n" + strings.Repeat("\x00\xff\x16\x03\x01\x1b]0;owned\a", 20_000)
	for _, listener := range []string{"ingress/api", "ingress/health", "ingress/metrics", "health", "boot", "logs", "egress/db"} {
		for range 3 {
			c, err := new(net.Dialer).DialContext(t.Context(), networkOf(p.address(t, listener)), p.address(t, listener))
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(c, garbage) // may be cut off
			_ = c.Close()
		}
	}
	// Nothing of it hurt: the split still works.
	session, _ := w.boot(t)
	if got := ask(t, dialTCP(t, p.address(t, "ingress/api")), "still there?"); got != "STILL THERE?" {
		t.Errorf("answer %q", got)
	}
	logs := w.dial(t, wire.PortLogs)
	_, _ = io.WriteString(logs, `{"message":"line after the garbage"}`+"\n")
	_ = logs.Close()
	p.out.await(t, "line after the garbage")
	p.stop()
	p.end(t, 0)
	_ = session.Close()
	text, _ := p.out.read()
	if strings.ContainsAny(text, "\x00\x1b\a\r") {
		t.Error("control characters reached standard output")
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "{") || !strings.HasSuffix(line, "}\n") {
			t.Errorf("line %.200q is not an object", line)
		}
	}
}

func networkOf(address string) string {
	if strings.HasPrefix(address, "/") {
		return "unix"
	}
	return "tcp"
}

// TestStartsWholeOrNotAtAll expects exit code 1, words that name what is wrong, and no socket left.
func TestStartsWholeOrNotAtAll(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, test := range []struct{ name, flag, want string }{
		{"API port", "tls.listen_port=" + port, "ingress/api: listen tcp4 127.0.0.1:" + port + ": bind: address already in use"},
		{"metrics port", "metrics.listen_port=" + port, "ingress/metrics: listen tcp4 127.0.0.1:" + port + ": bind: address already in use"},
		{"health port", "parent.health.listen_port=" + port, "health: listen tcp4 127.0.0.1:" + port + ": bind: address already in use"},
		{"socket directory", "tee.simulated.socket_dir=/nonexistent/sockets", "/nonexistent/sockets: no such file or directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, "")
			p := w.start(t, "--set", test.flag)
			p.end(t, 1)
			if text, _ := p.errors.read(); !strings.HasPrefix(text, program+": ") || !strings.Contains(text, test.want) || strings.Count(text, "\n") != 1 {
				t.Errorf("standard error %q, want %q", text, test.want)
			}
			if left, err := os.ReadDir(string(w.dir)); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestSecondParentIsRefused(t *testing.T) {
	w := newWorld(t, "")
	first := w.start(t)
	first.address(t, "health")
	second := w.start(t)
	second.end(t, 1)
	want := program + ": logs: another parent runs on this node (port 7000): listen on unix://" + filepath.Join(string(w.dir), "7000.sock") + ": "
	if text, _ := second.errors.read(); !strings.HasPrefix(text, want) || !strings.Contains(text, "address already in use") {
		t.Errorf("standard error %q, want %q", text, want)
	}
	session, _ := w.boot(t) // the first was not disturbed
	_ = session.Close()
	first.stop()
	first.end(t, 0)
}

func TestSIGTERMDrains(t *testing.T) {
	w := newWorld(t, "")
	p := w.start(t)
	p.address(t, "health")
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.end(t, 0)
	p.out.await(t, `"message":"stopped"`)
}

func TestMistakesInTheCommandLine(t *testing.T) {
	w := newWorld(t, "")
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("tee:\n  platfrom: nitro\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		want string
	}{
		{"", "no command; see " + program + " --help"},
		{"bogus", `unknown command or argument "bogus"`},
		{"run", "run: no configuration file; want -c FILE"},
		{"run --nope", "run: unknown flag: --nope"},
		{"run -c " + bad + " extra", `run: unknown command or argument "extra"`},
		{"run -c /nonexistent.yaml", "read configuration: open /nonexistent.yaml: no such file or directory"},
		{"run -c " + bad, bad + ":2: tee.platfrom: unknown key, nearest known: tee.platform"},
		{"run -c " + w.config + " --set tee.platform=none", "flag --set: tee.platform: none needs no parent"},
		{"check", "check: no configuration file; want -c FILE"},
		{"check --output xml -c " + w.config, `--output "xml": want table or json`},
		{"check -c " + bad, bad + ":2: tee.platfrom: unknown key"},
		{"vsock-stdout --listen 7000", `--listen: address "7000": want vsock://CID:PORT or unix:///DIR/PORT.sock`},
		{"vsock-stdout --log-level loud", `--log-level: unknown level "loud", want debug, info, warn or error`},
		{"vsock-stdout --max-lines-per-second=-1", "--max-lines-per-second -1: want 0 or more"},
		{"vsock-proxy --connect a:1", `--listen: address "": want vsock://CID:PORT`},
		{"vsock-proxy --listen vsock://3:8001", `--connect: address "": want HOST:PORT`},
		{"vsock-proxy --listen vsock://3:8001 --connect a:0", `--connect: address "a:0": port "0" is not a number from 1 to 65535`},
		{"vsock-proxy --listen vsock://3:8001 --connect a:1 --max-connections 0", "--max-connections 0: want at least 1"},
		{"ingress --enclave vsock://16:9443", `--listen: address "": want HOST:PORT`},
		{"ingress --listen 127.0.0.1:9443 --enclave 16:9443", `--enclave: address "16:9443": want vsock://CID:PORT`},
		{"ingress --listen 127.0.0.1:9443 --enclave vsock://16:9443 --idle-timeout=-1s", "--idle-timeout -1s: want 0 or more"},
	} {
		t.Run(test.args, func(t *testing.T) {
			p := start(t, strings.Fields(test.args)...)
			p.end(t, 2)
			text, _ := p.errors.read()
			if !strings.Contains(text, test.want) {
				t.Errorf("standard error %q, want %q", text, test.want)
			}
			if out, _ := p.out.read(); out != "" {
				t.Errorf("standard output %q, want none", out)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	p := start(t, "version")
	p.end(t, 0)
	text, _ := p.out.read()
	if diff := cmp.Diff(program+" "+wire.Release+" ", text[:min(len(text), len(program+wire.Release)+2)]); diff != "" {
		t.Error(diff)
	}
}
