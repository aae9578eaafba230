package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// bufferLines is the smallest buffer that takes the lines of a start.
const bufferLines = 60

// booted is a simulated enclave in this process, without a parent: the test is the parent.
type booted struct {
	t    *testing.T
	net  unixvsock.Dir
	dir  string
	stop context.CancelFunc
	done chan error // Run's result, once
}

func startChamber(t *testing.T, configuration string) *booted {
	t.Helper()
	dir, err := os.MkdirTemp("", "cc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := &booted{t: t, net: unixvsock.Dir(dir), dir: dir, done: make(chan error, 1)}
	c.serveBoot(strings.ReplaceAll(configuration, "DIR", dir))

	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	go func() { c.done <- run(ctx, Options{Platform: c.platform()}) }()
	t.Cleanup(func() { stop(); c.done <- <-c.done })
	return c
}

func (c *booted) platform() Platform {
	return Platform{
		Name: "simulated",
		Backends: Backends{Slashing: map[string]OpenStore{"sqlite": func(ctx context.Context, s config.AntiSlashing, _ egress.DialFunc) (slashing.Store, error) {
			return sqlite.Open(ctx, s.SQLite.Path)
		}}},
		TEE: &TEE{Network: c.net, OpenNSM: func() (nsm.Session, []*x509.Certificate, error) {
			self, err := os.Executable()
			if err != nil {
				return nil, nil, err
			}
			s, err := software.Open(software.Options{Dir: filepath.Join(c.dir, "nsm"), Executable: self})
			if err != nil {
				return nil, nil, err
			}
			return s, []*x509.Certificate{s.Root()}, nil
		}},
	}
}

// serveBoot hands out one configuration and answers heartbeats.
func (c *booted) serveBoot(yaml string) {
	c.serve(wire.PortBoot, func(conn net.Conn) {
		for {
			m, err := wire.ReadMessage(conn)
			if err != nil {
				return
			}
			switch m := m.(type) {
			case wire.Hello:
				_ = wire.WriteMessage(conn, wire.Configuration{YAML: []byte(yaml)})
			case wire.Heartbeat:
				_ = wire.WriteMessage(conn, m)
			}
		}
	})
}

// serve is a listener of the parent until the test ends, or stop is called.
func (c *booted) serve(port uint32, handle func(net.Conn)) {
	c.t.Helper()
	l, err := c.net.Listen(port)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { _ = conn.Close() })
			all.Go(func() { defer func() { _ = conn.Close() }(); handle(conn) })
		}
	})
	c.t.Cleanup(func() { cancel(); _ = l.Close(); all.Wait() })
}

// client speaks to one of the enclave's ports.
func (c *booted) client(port uint32) *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return c.net.Dial(ctx, vsock.CIDParent, port)
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // what is attested is tested elsewhere
	}
	c.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func (c *booted) awaitReady() {
	c.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	client := c.client(wire.PortHealth)
	for {
		if res, err := client.Get("http://enclave/readyz"); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick.C:
		case err := <-c.done:
			c.done <- err
			c.t.Fatalf("ended before it was ready: %v", err)
		}
	}
}

func (c *booted) call(client *http.Client, method, url, body string) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

var counter = regexp.MustCompile(`(?m)^containment_enclave_log_events_dropped_total (\d+)$`)

func (c *booted) dropped() int {
	c.t.Helper()
	_, text := c.call(c.client(wire.PortMetrics), http.MethodGet, "http://enclave/metrics", "")
	found := counter.FindStringSubmatch(text)
	if found == nil {
		c.t.Fatalf("no drop counter in the metrics:\n%s", text)
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

const (
	secretKey = "25295f0d1d592a90b333e26e85149708208e9f8e8bc18f6c77bd62f8ad7a6866"
	publicKey = "0xa99a76ed7796f7be22d5b7e85deeb7c5677e88e511e0b337618f8c4eb61349b4bf2d153f649f7b53359fe8b94a38e44c"
)

// randao asks for a signature that cannot be refused.
func randao(epoch int) string {
	return fmt.Sprintf(`{"type":"RANDAO_REVEAL","randao_reveal":{"epoch":"%d"},"fork_info":{"fork":{"previous_version":"0x60000910",
"current_version":"0x70000910","epoch":"50688"},"genesis_validators_root":"0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"}}`, epoch)
}

// TestSigningGoesOnWhileTheLogSinkIsAway stops nothing but the sink: signatures go on, drops are counted, the stream resumes and tells
// of its gap, and the end flushes.
func TestSigningGoesOnWhileTheLogSinkIsAway(t *testing.T) {
	// An enclave ignores its environment: with these it would refuse every request, or be reached in clear.
	t.Setenv("CONTAINMENT_NETWORK", "mainnet")
	t.Setenv("CONTAINMENT_TLS__MODE", "disabled")
	c := startChamber(t, `{network: hoodi, tls: {mode: atls}, tee: {platform: simulated, simulated: {socket_dir: DIR, state_dir: DIR/nsm}},
log: {buffer_lines: `+strconv.Itoa(bufferLines)+`}, key_sources: {filesystem: {paths: [DIR/keys]}}, anti_slashing: {backend: sqlite, sqlite: {path: DIR/s.sqlite}}}`)
	if err := os.Mkdir(filepath.Join(c.dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	descriptor := fmt.Sprintf("type: file-raw\nkeyType: BLS\nprivateKey: %q\n", secretKey)
	if err := os.WriteFile(filepath.Join(c.dir, "keys", "k.yaml"), []byte(descriptor), 0o600); err != nil {
		t.Fatal(err)
	}
	c.awaitReady()

	client := c.client(wire.PortAPI)
	url := "https://enclave/api/v1/eth2/sign/" + publicKey
	for epoch := range 2 * bufferLines {
		if status, body := c.call(client, http.MethodPost, url, randao(epoch)); status != http.StatusOK {
			t.Fatalf("signature %d without a log sink: %d %s", epoch, status, body)
		}
	}
	dropped := c.dropped()
	if dropped == 0 {
		t.Fatal("nothing was dropped: the buffer was not full")
	}

	lines := make(chan string, 10*bufferLines)
	c.serve(wire.PortLogs, func(conn net.Conn) {
		for r := wire.NewLogReader(conn); ; {
			line, _, err := r.Next()
			if err != nil {
				return
			}
			lines <- string(line)
		}
	})
	next := 1 // the seq of the line to come
	gap := 0
	read := func() string {
		line := <-lines
		var l struct {
			Seq    int `json:"seq"`
			Before int `json:"dropped_before"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if l.Seq-next != l.Before {
			t.Errorf("seq %d follows %d, but the line tells of %d dropped", l.Seq, next-1, l.Before)
		}
		next, gap = l.Seq+1, gap+l.Before
		return line
	}
	if status, body := c.call(client, http.MethodPost, url, randao(1000)); status != http.StatusOK {
		t.Fatalf("signature with the sink back: %d %s", status, body)
	}
	for gap < dropped {
		read()
	}
	if now := c.dropped(); gap != now {
		t.Errorf("the stream tells of %d dropped lines, the counter of %d", gap, now)
	}

	c.stop()
	if err := <-c.done; err != nil {
		t.Errorf("end: %v", err)
	}
	c.done <- nil
	for last := ""; !strings.Contains(last, `"message":"stopped"`); last = read() {
		t.Log(last)
	}
}

// TestARefusedConfigurationIsTold ends the start in its stage "parse": the error names the key, and reaches the parent although
// logs are not shipped yet.
func TestARefusedConfigurationIsTold(t *testing.T) {
	c := startChamber(t, "network: hoodi\nserver: {listen_prot: 1}\n")
	told := make(chan string, 100)
	c.serve(wire.PortLogs, func(conn net.Conn) {
		for r := wire.NewLogReader(conn); ; {
			line, _, err := r.Next()
			if err != nil {
				return
			}
			told <- string(line)
		}
	})
	err := <-c.done
	c.done <- nil
	if err == nil || !strings.Contains(err.Error(), "stage parse") || !strings.Contains(err.Error(), "listen_prot") {
		t.Errorf("error %v", err)
	}
	for {
		select {
		case line := <-told:
			if strings.Contains(line, "listen_prot") {
				return
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the refusal did not reach the log sink")
		}
	}
}
