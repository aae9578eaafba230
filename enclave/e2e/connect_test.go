package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation"
)

const connectToken = "cc-token-canary-0123456789"

// connected is a simulated enclave with a proxy before it.
type connected struct {
	t              *testing.T
	dir, config    string
	health, api    string // of the signer
	url, own       string // of the proxy: for clients, and its own health
	parent, signer *process
	proxy          *process
	client         *http.Client
}

// startConnected lets the proxy accept the signer's own binary alone, and tell a service manager at notify how it is.
func startConnected(t *testing.T, notify string) *connected {
	t.Helper()
	dir, ports := shortDir(t), freePorts(t, 6)
	at := func(scheme string, port int) string { return fmt.Sprintf("%s://127.0.0.1:%d", scheme, port) }
	c := &connected{
		t: t, dir: dir, config: splitWorld(t, dir, filepath.Join(dir, "s"), ports), client: newClient(t),
		health: at("http", ports[0]), api: at("https", ports[2]), url: at("http", ports[4]), own: at("http", ports[5]),
	}
	c.startSplit("containment-chamber")
	writeFile(t, filepath.Join(dir, "policy.json"), string(policyFor(t, "containment-chamber")))
	t.Setenv("NOTIFY_SOCKET", notify)
	c.proxy = start(t, "containment-chamber", "connect", "--signer", c.api, "--policy", filepath.Join(dir, "policy.json"),
		"--attestation-root", software.RootFile(filepath.Join(dir, "nsm")), "--listen", strings.TrimPrefix(c.url, "http://"),
		"--health-listen", strings.TrimPrefix(c.own, "http://"), "--auth-token", "env:SIGNER_TOKEN", "--log-level", "debug")
	t.Setenv("NOTIFY_SOCKET", "") // the parent would tell how it is, too
	c.await(func() bool { return c.ready()["ready"] == true })
	return c
}

// policyFor accepts one program alone.
func policyFor(t *testing.T, program string) []byte {
	t.Helper()
	m, err := software.Measure(filepath.Join(binaries, program))
	if err != nil {
		t.Fatal(err)
	}
	text, err := attestation.Policy{Sets: []attestation.Set{{
		Label: "this build", PCRs: attestation.Measurements{0: m.PCR0, 1: m.PCR1, 2: m.PCR2},
	}}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (c *connected) startSplit(program string) {
	c.t.Helper()
	c.parent = start(c.t, "containment-chamber-enclave-proxy", "run", "-c", c.config)
	c.signer = start(c.t, program, "server", "-c", c.config)
	awaitReady(c.t, c.client, c.health, c.signer)
}

func (c *connected) stopSplit() {
	c.t.Helper()
	if code := c.signer.terminate(); code != 0 {
		c.t.Errorf("signer: exit code %d", code)
	}
	if code := c.parent.terminate(); code != 0 {
		c.t.Errorf("parent: exit code %d", code)
	}
}

// await waits for a condition, as long as the proxy runs.
func (c *connected) await(holds func() bool) {
	c.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(60 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-c.proxy.done:
			c.t.Fatal("the proxy ended")
		case <-limit:
			c.t.Fatalf("not within 60 s: %v", c.ready())
		}
	}
}

// ready is the proxy's own answer; empty before it listens.
func (c *connected) ready() (answer map[string]any) {
	res, err := c.client.Get(c.own + "/readyz")
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	_ = json.NewDecoder(res.Body).Decode(&answer) // what is not there is not equal to what is wanted
	return answer
}

func (c *connected) sign(body string) (int, string) {
	c.t.Helper()
	return call(c.t, c.client, http.MethodPost, c.url+"/api/v1/eth2/sign/"+interopPublic, body)
}

// TestConnect: a client that knows nothing of attestation signs through the proxy as it would directly; the proxy finds a signer that
// was killed and started again, refuses one that measures something else, and tells nobody the token.
func TestConnect(t *testing.T) {
	manager := notified(t)
	t.Setenv("SIGNER_TOKEN", connectToken)
	c := startConnected(t, manager.path)
	direct := attestedClient(t, c.dir)

	for step, body := range []string{vote(10, 11), vote(10, 11), vote(9, 12), `{"type":"ATTESTATION"}`, "no JSON"} {
		status, answer := c.sign(body)
		wantStatus, want := call(t, direct, http.MethodPost, c.api+"/api/v1/eth2/sign/"+interopPublic, body)
		if status != wantStatus || answer != want || (status == 200) != (step < 2) || step == 2 && status != 412 {
			t.Errorf("step %d: %d %s through the proxy, %d %s without", step, status, answer, wantStatus, want)
		}
	}
	status, keys := call(t, c.client, http.MethodGet, c.url+"/api/v1/eth2/publicKeys", "")
	if status != 200 || !strings.Contains(keys, interopPublic) {
		t.Errorf("public keys: %d %s", status, keys)
	}

	_ = c.signer.cmd.Process.Kill()
	<-c.signer.done
	if status, body := c.sign(vote(11, 12)); status != 503 || !strings.Contains(body, `"code":503,"message":"no answer from the signer`) {
		t.Errorf("with a killed signer: %d %s", status, body)
	}
	c.await(func() bool { return c.ready()["ready"] == false })
	if code := c.parent.terminate(); code != 0 {
		t.Errorf("parent: exit code %d", code)
	}
	c.startSplit("containment-chamber")
	if status, body := c.sign(vote(11, 12)); status != 200 {
		t.Errorf("after its restart: %d %s", status, body)
	}
	c.stopSplit()

	c.refuses(otherProgram(t))
	c.startSplit("containment-chamber")
	if status, body := c.sign(vote(12, 13)); status != 200 {
		t.Errorf("with the first signer back: %d %s", status, body)
	}
	c.follows()
	if code := c.proxy.terminate(); code != 0 {
		t.Errorf("proxy: exit code %d", code)
	}
	if got := manager.all(); !slices.Equal(got, []string{"READY=1", "STOPPING=1"}) {
		t.Errorf("the service manager was told %q", got)
	}
	if strings.Contains(c.proxy.text()+c.signer.text()+c.parent.text(), "canary") {
		t.Error("the token stands in a log")
	}
}

// otherProgram is the signer with other bytes, as an attacker's or the next release would be.
func otherProgram(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(binaries, "containment-chamber"))
	if err != nil {
		t.Fatal(err)
	}
	const name = "other-chamber"
	if err := os.WriteFile(filepath.Join(binaries, name), append(text, 0), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

// refuses lets another program take the signer's place.
func (c *connected) refuses(program string) {
	c.t.Helper()
	c.startSplit(program)
	is, err := software.Measure(filepath.Join(binaries, program))
	if err != nil {
		c.t.Fatal(err)
	}
	want, err := software.Measure(filepath.Join(binaries, "containment-chamber"))
	if err != nil {
		c.t.Fatal(err)
	}
	reason := fmt.Sprintf(`policy: measurements refused: closest is set 0 \"this build\": PCR0 is %v, want %v; PCR2 is %v, want %v`, is.PCR0, want.PCR0, is.PCR2, want.PCR2)
	if status, body := c.sign(vote(13, 14)); status != 502 || !strings.Contains(body, reason) {
		c.t.Errorf("%d %s, want 502 and %s", status, body, reason)
	}
	if ready := c.ready(); ready["ready"] != false || ready["refused"] != true {
		c.t.Errorf("readiness: %v", ready)
	}
	if strings.Contains(c.parent.text(), `"kind":"ATTESTATION"`) {
		c.t.Error("the other program was asked for a signature")
	}
	c.stopSplit()
}

// follows takes back what the policy accepts, while the signer runs and the connection to it stands, and gives it again.
func (c *connected) follows() {
	c.t.Helper()
	path := filepath.Join(c.dir, "policy.json")
	writeFile(c.t, path, string(policyFor(c.t, "other-chamber")))
	c.await(func() bool {
		status, body := c.sign(vote(12, 13))
		return status == 502 && strings.Contains(body, "policy: measurements refused")
	})
	if ready := c.ready(); ready["ready"] != false || ready["refused"] != true {
		c.t.Errorf("with another policy: readiness: %v", ready)
	}
	writeFile(c.t, path, string(policyFor(c.t, "containment-chamber")))
	c.await(func() bool { status, _ := c.sign(vote(12, 13)); return status == 200 })
	c.await(func() bool { return c.ready()["ready"] == true })
}

// manager is a service manager that is told how services are.
type manager struct {
	path string
	mu   sync.Mutex // held while told is used
	told []string
}

func (m *manager) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.told)
}

// notified listens where systemd would.
func notified(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(shortDir(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{}
	var all sync.WaitGroup
	all.Go(func() {
		for buffer := make([]byte, 1024); ; {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.told = append(m.told, string(buffer[:n]))
			m.mu.Unlock()
		}
	})
	t.Cleanup(func() { conn.Close(); all.Wait() })
	m.path = path
	return m
}

// TestConnectAddsTheToken, here before a server without attestation that shows what it got, which takes a flag that says so.
func TestConnectAddsTheToken(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Join(r.Header["Authorization"], ",")) //nolint:gosec // no browser reads it
	}))
	server.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	server.StartTLS()
	t.Cleanup(server.Close)
	file := filepath.Join(shortDir(t), "token")
	writeFile(t, file, connectToken+"\n")
	ports := freePorts(t, 1)
	p := start(t, "containment-chamber", "connect", "--signer", server.URL, "--danger-skip-attestation-verification",
		"--listen", fmt.Sprintf("127.0.0.1:%d", ports[0]), "--health-listen", "", "--auth-token", "file:"+file)
	p.await(`"message":"listening"`)
	p.await("warning: --danger-skip-attestation-verification")
	url := fmt.Sprintf("http://127.0.0.1:%d/api/v1/eth2/publicKeys", ports[0])
	if _, body := call(t, newClient(t), http.MethodGet, url, ""); body != "Bearer "+connectToken {
		t.Errorf("the signer got %s", body)
	}
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(p.text(), "canary") {
		t.Errorf("the token stands in the log:\n%s", p.text())
	}
}
