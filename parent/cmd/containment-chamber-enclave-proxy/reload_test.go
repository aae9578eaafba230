package main

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// rewrite replaces the configuration file and sends SIGHUP.
func (w world) rewrite(t *testing.T, edit *strings.Replacer) {
	t.Helper()
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.config, []byte(edit.Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

func TestReload(t *testing.T) {
	w := newWorld(t, "{name: db, host: 127.0.0.1, port: "+tcpServer(t)+", vsock_port: 8001, plain: true}")
	p := w.start(t)
	p.address(t, "ingress/metrics") // the last to listen
	live := w.dial(t, 8001)
	if _, err := io.WriteString(live, "first half, "); err != nil {
		t.Fatal(err)
	}

	w.rewrite(t, strings.NewReplacer("vsock_port: 8001", "vsock_port: 9443"))
	p.out.await(t, "the one in use stays", "tee.egress", "9443 belongs to one of the enclave's own listeners")
	if got := ask(t, w.dial(t, 8001), "a"); got != "A" {
		t.Errorf("after a faulty configuration: %q", got)
	}

	w.rewrite(t, strings.NewReplacer("vsock_port: 9443", "vsock_port: 8002", "network: hoodi", "network: mainnet\nlog: {level: debug}"))
	p.out.await(t, "change with a restart", "log.level")
	p.out.await(t, "configuration loaded", `"routes":1`)
	if got := ask(t, w.dial(t, 8002), "b"); got != "B" {
		t.Errorf("the new route: %q", got)
	}
	if _, err := w.dir.Dial(t.Context(), 3, 8001); err == nil {
		t.Error("the old route still listens")
	}
	if got := ask(t, live, "second half"); got != "FIRST HALF, SECOND HALF" {
		t.Errorf("the connection from before: %q", got)
	}
	session, configuration := w.boot(t)
	if !strings.Contains(string(configuration), "network: mainnet\n") {
		t.Errorf("the next enclave is handed\n%s", configuration)
	}
	p.stop()
	p.end(t, 0)
	_ = session.Close()
}

// TestReloadThatCannotBeFollowed changes nothing, neither for the routes nor for the next enclave.
func TestReloadThatCannotBeFollowed(t *testing.T) {
	for key, edit := range map[string]*strings.Replacer{
		"tee.enclave_cid":          strings.NewReplacer("platform: simulated,", "platform: simulated, enclave_cid: 17,"),
		"tls.proxy_protocol":       strings.NewReplacer("tls: {listen_port: 0}", "tls: {listen_port: 0, proxy_protocol: true}"),
		"tee.simulated.socket_dir": strings.NewReplacer("socket_dir: ", "socket_dir: /nonexistent"),
	} {
		t.Run(key, func(t *testing.T) {
			w := newWorld(t, "{name: db, host: 127.0.0.1, port: "+tcpServer(t)+", vsock_port: 8001, plain: true}")
			p := w.start(t)
			p.address(t, "ingress/metrics") // the last to listen
			text, err := os.ReadFile(w.config)
			if err != nil {
				t.Fatal(err)
			}
			w.rewrite(t, strings.NewReplacer(string(text), strings.NewReplacer("vsock_port: 8001", "vsock_port: 8002", "network: hoodi", "network: mainnet").Replace(edit.Replace(string(text)))))
			p.out.await(t, `"event":"configuration_refused"`, key, "cannot change while the parent runs")
			if got := ask(t, w.dial(t, 8001), "a"); got != "A" {
				t.Errorf("the route from before: %q", got)
			}
			session, configuration := w.boot(t)
			if !strings.Contains(string(configuration), "network: hoodi\n") {
				t.Errorf("the next enclave is handed\n%s", configuration)
			}
			if text, _ := p.out.read(); strings.Contains(text, `"event":"configuration_loaded"`) {
				t.Errorf("it was loaded:\n%s", text)
			}
			p.stop()
			p.end(t, 0)
			_ = session.Close()
		})
	}
}
