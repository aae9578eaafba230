package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// asCommand in the environment makes the test's binary the command itself, for tests that need a process.
const asCommand = "TEST_RUNS_THE_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// output is a stream whose reader can wait for words.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed and replaced by each write
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.changed
}

// await returns the first line that contains all words.
func (o *output) await(t *testing.T, words ...string) string {
	t.Helper()
	late := time.After(patience)
	for {
		text, changed := o.read()
		for line := range strings.Lines(text) {
			missing := false
			for _, w := range words {
				missing = missing || !strings.Contains(line, w)
			}
			if !missing {
				return line
			}
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("no line with %q, the last ones are:\n%s", words, text[max(0, len(text)-4000):])
		}
	}
}

// process is one run of the command inside the test.
type process struct {
	out, errors *output
	stop        context.CancelFunc
	code        chan int
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	out := newOutput()
	return startTo(t, out, out, args...)
}

// startTo has the process write to stdout, which hands on to out.
func startTo(t *testing.T, stdout io.Writer, out *output, args ...string) *process {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &process{out: out, errors: newOutput(), stop: stop, code: make(chan int, 1)}
	go func() { p.code <- run(ctx, args, stdout, p.errors) }()
	t.Cleanup(stop)
	return p
}

// end waits for the exit code.
func (p *process) end(t *testing.T, want int) {
	t.Helper()
	select {
	case got := <-p.code:
		if got != want {
			text, _ := p.errors.read()
			t.Errorf("exit code %d, want %d; standard error: %s", got, want, text)
		}
	case <-time.After(patience):
		text, _ := p.out.read()
		t.Fatalf("did not end; standard output:\n%s", text)
	}
}

// address is where a listener listens.
func (p *process) address(t *testing.T, listener string) string {
	t.Helper()
	var line struct{ Address string }
	if err := json.Unmarshal([]byte(p.out.await(t, `"message":"listening"`, `"listener":"`+listener+`"`)), &line); err != nil {
		t.Fatal(err)
	}
	return line.Address
}

// world is what a parent needs around it.
type world struct {
	dir    unixvsock.Dir
	config string
}

// newWorld writes a configuration of platform simulated in which every TCP port is free; more is added to it.
func newWorld(t *testing.T, egress string, more ...string) world {
	t.Helper()
	dir, err := os.MkdirTemp("", "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := world{dir: unixvsock.Dir(filepath.Join(dir, "s")), config: filepath.Join(dir, "config.yaml")}
	if err := os.Mkdir(string(w.dir), 0o700); err != nil {
		t.Fatal(err)
	}
	text := "network: hoodi\n" +
		"server: {listen_port: 0}\ntls: {listen_port: 0}\nmetrics: {listen_address: 127.0.0.1, listen_port: 0}\n" +
		"tee: {platform: simulated, simulated: {socket_dir: " + string(w.dir) + "}, egress: [" + egress + "]}\n" +
		strings.Join(more, "\n")
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// anyHealthPort lets tests run beside each other.
const anyHealthPort = "--set=parent.health.listen_port=0"

func (w world) start(t *testing.T, flags ...string) *process {
	t.Helper()
	return start(t, append([]string{"run", "-c", w.config, anyHealthPort}, flags...)...)
}

// dial connects to a vsock port of the parent.
func (w world) dial(t *testing.T, port uint32) vsock.Conn {
	t.Helper()
	c, err := w.dir.Dial(t.Context(), vsock.CIDParent, port)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve answers every connection to a vsock port of the enclave with what it was sent, in capitals, once the client has said all.
func (w world) serve(t *testing.T, port uint32) {
	t.Helper()
	l, err := w.dir.Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	answerInCapitals(t, l)
}

// tcpServer does the same on TCP and returns its port.
func tcpServer(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answerInCapitals(t, l)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func answerInCapitals(t *testing.T, l net.Listener) {
	t.Helper()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				text, _ := io.ReadAll(c)
				_, _ = c.Write(bytes.ToUpper(text))
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
}

// boot takes the configuration over 7001 as an enclave does, acknowledges it, and returns it.
func (w world) boot(t *testing.T) (vsock.Conn, []byte) {
	t.Helper()
	c := w.dial(t, wire.PortBoot)
	_ = c.SetDeadline(time.Now().Add(patience))
	if err := wire.WriteMessage(c, wire.Hello{Version: wire.Version}); err != nil {
		t.Fatal(err)
	}
	m, err := wire.ReadMessage(c)
	if err != nil {
		t.Fatal(err)
	}
	configuration, ok := m.(wire.Configuration)
	if !ok {
		t.Fatalf("answer to hello: %#v", m)
	}
	for _, m := range []wire.Message{wire.Acknowledgement{Digest: digest}, wire.Heartbeat{Digest: digest}} {
		if err := wire.WriteMessage(c, m); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := wire.ReadMessage(c); err != nil || m != (wire.Heartbeat{Digest: digest}) {
		t.Fatalf("answer to the heartbeat: %v, %v", m, err)
	}
	return c, configuration.YAML
}

var digest = [wire.DigestSize]byte{0xd1, 0x6e, 0x57}

// halfCloser is a connection that tells its end and still listens.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// ask says all, ends its direction and returns the whole answer.
func ask(t *testing.T, c halfCloser, question string) string {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, question); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	return string(answer)
}

func dialTCP(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// get returns status and body.
func get(t *testing.T, address, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
