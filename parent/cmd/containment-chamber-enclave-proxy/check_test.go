package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/resolve"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// tlsServer asks for a client certificate if it is strict. It returns its port.
func tlsServer(t *testing.T, strict bool) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	s.TLS = &tls.Config{}
	if strict {
		s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	return port
}

// mute takes connections, says nothing, and returns its port.
func mute(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var taker sync.WaitGroup
	taker.Go(func() {
		var open []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				for _, c := range open {
					_ = c.Close()
				}
				return
			}
			open = append(open, c)
		}
	})
	t.Cleanup(func() { _ = l.Close(); taker.Wait() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// closedPort is one on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// serveHealth is the enclave's health port.
func (w world) serveHealth(t *testing.T, ready *int) {
	t.Helper()
	l, err := w.dir.Listen(wire.PortHealth)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /upcheck", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "OK") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(*ready)
		_, _ = io.WriteString(w, "slashing: \x1b[31mdown")
	})
	s := httptest.NewUnstartedServer(mux)
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
}

func route(name, host, port, vsock string, plain bool) string {
	return fmt.Sprintf("{name: %s, host: %s, port: %s, vsock_port: %s, plain: %t}", name, host, port, vsock, plain)
}

// lies answers for some names, and asks nobody.
func lies(_ context.Context, host string) (resolve.Answer, error) {
	switch host {
	case "gone.example":
		return resolve.Answer{}, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	case "inside.example":
		return resolve.Answer{Addresses: []netip.Addr{netip.MustParseAddr("169.254.169.254")}}, nil
	}
	return resolve.Answer{Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, nil
}

func TestCheckFindsEveryFault(t *testing.T) {
	refused, silent := closedPort(t), mute(t)
	plainServer := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plainServer.Close)
	_, plainPort, _ := net.SplitHostPort(plainServer.Listener.Addr().String())
	w := newWorld(t, strings.Join([]string{
		route("kms", "localhost", tlsServer(t, false), "8001", false),
		route("strict", "127.0.0.1", tlsServer(t, true), "8002", false),
		route("db", "db.example", tcpServer(t), "8003", true),
		route("quiet", "db.example", silent, "8004", true),
		route("gone", "gone.example", "443", "8005", false),
		route("closed", "localhost", refused, "8006", false),
		route("inside", "inside.example", "80", "8007", true),
		route("plain", "localhost", plainPort, "8008", false),
		route("mute", "localhost", silent, "8009", false),
	}, ", "))
	cfg, err := config.Load(w.config, nil, []string{"parent.egress.connect_timeout_seconds=1"})
	if err != nil {
		t.Fatal(err)
	}
	ready := http.StatusServiceUnavailable
	w.serveHealth(t, &ready)
	here := "127.0.0.1"
	want := []struct{ name, address, result, detail string }{
		{"kms", here, "ok", `certificate of "O=Acme Co" until 2084-01-29, not verified by this host: x509: `},
		{"strict", here, "ok", `certificate of "O=Acme Co"`},
		{"db", here, "ok", "plain"},
		{"quiet", here, "ok", "plain"},
		{"gone", "", "name", "look up gone.example: lookup gone.example: no such host"},
		{"closed", here, "refused", "connection refused"},
		{"inside", "169.254.169.254", "forbidden", "169.254.169.254 of inside.example is on this host or its link"},
		{"plain", here, "no_tls", "tls: first record does not look like a TLS handshake"},
		{"mute", here, "no_tls", "deadline exceeded"},
		{"enclave /upcheck", "", "ok", ""},
		{"enclave /readyz", "", "not_ready", "503 slashing: "},
	}
	got := check(t.Context(), cfg, lies)
	if len(got) != len(want) {
		t.Fatalf("%d findings, want %d", len(got), len(want))
	}
	for i, f := range got {
		if w := want[i]; f.Name != w.name || strings.Join(f.Addresses, " ") != w.address || f.Result != w.result || !strings.Contains(f.Detail, w.detail) || f.Seconds <= 0 {
			t.Errorf("finding %+v, want %+v", f, w)
		}
	}
	if err := verdict(got); err == nil || err.Error() != "check: 6 of 11 did not go well" {
		t.Errorf("verdict %v", err)
	}
	var table strings.Builder
	if err := printTable(&table, got); err != nil {
		t.Fatal(err)
	}
	if strings.Count(table.String(), "\n") != 12 || strings.Contains(table.String(), "\x1b") || !strings.Contains(table.String(), `slashing: \u001b[31mdown`) {
		t.Errorf("table:\n%s", table.String())
	}
}

// TestCheckBesideAParent has both on one host: the check listens nowhere.
func TestCheckBesideAParent(t *testing.T) {
	port := tlsServer(t, false)
	w := newWorld(t, route("kms", "localhost", port, "8001", false))
	ready := http.StatusOK
	w.serveHealth(t, &ready)
	p := w.start(t)
	p.out.await(t, `"event":"started"`)
	session, _ := w.boot(t)
	for _, output := range []string{"table", "json"} {
		c := start(t, "check", "-c", w.config, "--output", output)
		c.end(t, 0)
		text, _ := c.out.read()
		if errs, _ := c.errors.read(); errs != "" {
			t.Errorf("standard error %q", errs)
		}
		if output == "table" {
			rows := strings.Split(strings.TrimSpace(text), "\n")
			if len(rows) != 4 || strings.Join(strings.Fields(rows[0]), " ") != "NAME TARGET ADDRESSES RESULT TIME DETAIL" ||
				!strings.HasPrefix(rows[1], "kms ") || !strings.Contains(rows[1], " localhost:"+port+" ") || !strings.Contains(rows[1], " ok ") {
				t.Errorf("table:\n%s", text)
			}
			continue
		}
		var findings []finding
		if err := json.Unmarshal([]byte(text), &findings); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var names []string
		for _, f := range findings {
			names = append(names, f.Name+" "+f.Result)
		}
		if diff := cmp.Diff([]string{"kms ok", "enclave /upcheck ok", "enclave /readyz ok"}, names); diff != "" {
			t.Error(diff)
		}
	}
	p.stop()
	p.end(t, 0)
	_ = session.Close()
	if text, _ := p.errors.read(); text != "" {
		t.Errorf("the parent: %q", text)
	}
}

func TestCheckWithoutAnEnclave(t *testing.T) {
	w := newWorld(t, "")
	c := start(t, "check", "-c", w.config)
	c.end(t, 1)
	if text, _ := c.out.read(); strings.Count(text, "unreachable") != 2 || !strings.Contains(text, "9080.sock: nobody listens there") {
		t.Errorf("table:\n%s", text)
	}
	if text, _ := c.errors.read(); text != program+": check: 2 of 2 did not go well\n" {
		t.Errorf("standard error %q", text)
	}
	if left, err := os.ReadDir(string(w.dir)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestCheckOfAHangingEnclave(t *testing.T) {
	w := newWorld(t, "")
	l, err := w.dir.Listen(wire.PortHealth)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg, err := config.Load(w.config, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if f := checkEnclave(ctx, cfg, "/readyz"); f.Result != "timeout" {
		t.Errorf("finding %+v", f)
	}
}
