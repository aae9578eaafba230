package egress

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// secure starts a TLS server and returns its port, and the certificates that a client trusts.
func secure(t *testing.T) (port uint16, roots *x509.CertPool) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	t.Cleanup(server.Close)
	roots = x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return uint16(server.Listener.Addr().(*net.TCPAddr).Port), roots
}

// dribble sends every write in pieces of a few bytes, as TLS records may be.
type dribble struct{ vsock.Conn }

func (d dribble) Write(b []byte) (int, error) {
	for i := 0; i < len(b); i += 7 {
		if _, err := d.Conn.Write(b[i:min(i+7, len(b))]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func TestServerNameMustBeTheRoutes(t *testing.T) {
	port, roots := secure(t)
	for _, test := range []struct {
		host, name string
		passes     bool
	}{
		{"localhost", "localhost", true},
		{"localhost", "LocalHost", true},
		{"localhost", "kms.eu-central-1.amazonaws.com", false},
		{"localhost", "localhost.example.org", false},
		{"localhost", "", false},
		{"127.0.0.1", "", true},
		{"127.0.0.1", "localhost", false},
	} {
		t.Run(test.host+" asked for as "+test.name, func(t *testing.T) {
			dir := unixvsock.Dir(t.TempDir())
			registry := run(t, dir, wire.Route{Name: "kms", Host: test.host, Port: port, VsockPort: 8001})
			c, err := dir.Dial(t.Context(), vsock.CIDParent, 8001)
			if err != nil {
				t.Fatal(err)
			}
			client := tls.Client(dribble{c}, &tls.Config{ServerName: test.name, RootCAs: roots, InsecureSkipVerify: true})
			defer client.Close()
			if err := client.HandshakeContext(t.Context()); (err == nil) != test.passes {
				t.Errorf("handshake: %v", err)
			}
			refused := counted(t, registry, "server_name")
			if (refused == 0) != test.passes {
				t.Errorf("%v refusals were counted", refused)
			}
		})
	}
}

// counted is how many clients were refused for a reason.
func counted(t *testing.T, registry *prometheus.Registry, reason string) float64 {
	t.Helper()
	return sum(t, registry, "containment_parent_clients_refused_total", reason)
}

// sum adds up the samples of a counter that have all of the label values.
func sum(t *testing.T, registry *prometheus.Registry, counter string, values ...string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var total float64
	for _, f := range families {
		if f.GetName() != counter {
			continue
		}
		for _, m := range f.GetMetric() {
			var has []string
			for _, l := range m.GetLabel() {
				has = append(has, l.GetValue())
			}
			if !slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(has, v) }) {
				total += m.GetCounter().GetValue()
			}
		}
	}
	return total
}

func TestNoTLSOnARouteThatIsNotPlain(t *testing.T) {
	port, _ := secure(t)
	for name, say := range map[string]string{
		"HTTP":             "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"alert":            "\x15\x03\x01\x00\x02\x01\x00",
		"a long hello":     "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + strings.Repeat("x", 1<<14-4),
		"an endless hello": strings.Repeat("\x16\x03\x01\x00\x04\x01\x00\xff\xff", 1<<13),
	} {
		t.Run(name, func(t *testing.T) {
			dir := unixvsock.Dir(t.TempDir())
			registry := run(t, dir, wire.Route{Name: "kms", Host: "localhost", Port: port, VsockPort: 8001})
			refusesAll(t, dir, say)
			if counted(t, registry, "not_tls") != 1 {
				t.Error("the refusal was not counted")
			}
			if n := testutil.CollectAndCount(registry, "containment_parent_dial_seconds"); n > 1 {
				t.Errorf("%d listeners dialed", n)
			}
		})
	}
}

// TestClientThatSaysNothing is none of the target's failures.
func TestClientThatSaysNothing(t *testing.T) {
	port, _ := secure(t)
	for name, say := range map[string]string{"nothing": "", "half a hello": "\x16\x03\x01\x02\x00\x01"} {
		for _, hangsUp := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				dir := unixvsock.Dir(t.TempDir())
				registry := prometheus.NewRegistry()
				cfg := config(dir)
				cfg.Limits.ConnectTimeout = 100 * time.Millisecond
				runWith(t, cfg, wire.Route{Name: "kms", Host: "localhost", Port: port, VsockPort: 8001}, registry)
				c, err := dir.Dial(t.Context(), vsock.CIDParent, 8001)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_, _ = io.WriteString(c, say)
				if hangsUp {
					_ = c.CloseWrite()
				}
				if n, err := c.Read(make([]byte, 1)); err == nil {
					t.Errorf("%d bytes", n)
				}
				if got := counted(t, registry, "no_hello"); got != 1 {
					t.Errorf("no_hello %v, want 1", got)
				}
				if got := sum(t, registry, "containment_parent_dial_failures_total"); got != 0 {
					t.Errorf("%v dials failed", got)
				}
			})
		}
	}
}

// FuzzHello holds the law: what is accepted was read from the client, whole and in order, and no more than that.
func FuzzHello(f *testing.F) {
	near, far := net.Pipe()
	go func() {
		_ = tls.Client(far, &tls.Config{ServerName: "kms.eu-central-1.amazonaws.com", MinVersion: tls.VersionTLS12}).Handshake()
		_ = far.Close()
	}()
	hello, _, err := helloOf(near)
	if err != nil {
		f.Fatal(err)
	}
	_ = near.Close()
	f.Add(hello)
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		read, name, err := helloOf(&said{text: in})
		if err != nil && (read != nil || name != "") {
			t.Fatalf("beside %v: %x, %q", err, read, name)
		}
		if len(read) > len(in) || string(read) != string(in[:len(read)]) {
			t.Fatalf("%x is not the beginning of %x", read, in)
		}
	})
}

// said is a connection on which a text comes, and then its end.
type said struct {
	net.Conn
	text []byte
}

func (s *said) Read(b []byte) (int, error) {
	if len(s.text) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.text)
	s.text = s.text[n:]
	return n, nil
}
