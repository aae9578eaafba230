package rolling

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// replica is a parent and an enclave, as the two containers of a pod are.
type replica struct {
	name            string
	config, sockets string
	log             string // file, of the parent, which has the enclave's lines too
	health, parent  string // URLs
	api             int    // TCP port
	environment     []string

	running *rig.Split
}

func (s *site) newReplica(t *testing.T, name, setupTokenSHA256 string) *replica {
	t.Helper()
	ports, err := rig.FreePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	url := func(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }
	r := &replica{
		name: name, config: s.path(name + ".yaml"), sockets: s.path(name), log: s.path(name + ".log"),
		health: url(ports[0]), api: ports[2], parent: url(ports[3]),
		environment: []string{
			"AWS_WEB_IDENTITY_TOKEN_FILE=", "AWS_CONTAINER_CREDENTIALS_FULL_URI=" + s.agent.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + s.token,
		},
	}
	if err := os.Mkdir(r.sockets, 0o700); err != nil {
		t.Fatal(err)
	}
	s.configure(t, r, setupTokenSHA256, ports)
	t.Cleanup(func() {
		r.end(t)
		if t.Failed() {
			t.Logf("last lines of replica %s:\n%s", name, strings.Join(r.lines(12), "\n"))
		}
	})
	return r
}

// start starts a parent with an image beside it.
func (r *replica) start(t *testing.T, i image) {
	t.Helper()
	var err error
	r.running, err = rig.StartSplit(r.parentCommand(),
		rig.Command{Name: "enclave " + r.name, Binary: i.path, Args: []string{"server", "-c", r.config}, Log: r.log})
	if err != nil {
		t.Fatal(err)
	}
}

func (r *replica) parentCommand() rig.Command {
	return rig.Command{
		Name: "parent " + r.name, Binary: filepath.Join(binaries, "containment-chamber-enclave-proxy"), Args: []string{"run", "-c", r.config},
		Env: r.environment, Log: r.log,
	}
}

// restartParent replaces the parent alone, with which the enclave, its keys and its state live on.
func (r *replica) restartParent(t *testing.T) {
	t.Helper()
	signal(t, r.running.Parent, syscall.SIGTERM)
	r.drained(t, r.running.Parent)
	var err error
	if r.running.Parent, err = rig.Start(r.parentCommand()); err != nil {
		t.Fatal(err)
	}
	r.awaitReady(t)
	select {
	case <-r.running.Signer.Done():
		t.Errorf("enclave %s ended with its parent", r.name)
	default:
	}
}

// newProber asks as a kubelet does: it keeps no connection, which the parent would wait for.
func newProber() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
}

// ready asks once.
func (r *replica) ready(client *http.Client) bool {
	res, err := client.Get(r.health + "/readyz")
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// awaitReady waits until it can sign.
func (r *replica) awaitReady(t *testing.T) {
	t.Helper()
	client := newProber()
	await(t, "readiness of replica "+r.name, func() (bool, error) { return r.ready(client), nil })
}

// stopBoth ends a pod on platform simulated, as systemd ends two units: both processes get SIGTERM at once.
func (r *replica) stopBoth(t *testing.T) {
	t.Helper()
	signal(t, r.running.Parent, syscall.SIGTERM)
	signal(t, r.running.Signer, syscall.SIGTERM)
	r.drained(t, r.running.Parent)
	r.drained(t, r.running.Signer)
	r.running = nil
}

// stopAsNitro ends a pod as the launcher of a Nitro Enclave does, which cannot send a signal into it: the parent gets SIGTERM, and when it
// has let its clients go and its own health is not served any more, the enclave is terminated without a word.
func (r *replica) stopAsNitro(t *testing.T) {
	t.Helper()
	signal(t, r.running.Parent, syscall.SIGTERM)
	err := rig.Await(t.Context(), "the end of the parent's clients", func() (bool, error) {
		_, _, err := rig.Get(t.Context(), r.parent+"/healthz")
		return err != nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.running.Signer.Done():
		t.Errorf("enclave %s ended with its parent", r.name)
	default:
	}
	if err := r.running.Signer.Kill(); err != nil {
		t.Fatal(err)
	}
	r.drained(t, r.running.Parent)
	r.running = nil
}

// drained waits for a process that was asked to stop, and wants that it ended well.
func (r *replica) drained(t *testing.T, p *rig.Process) {
	t.Helper()
	if err := rig.Await(t.Context(), "the end of replica "+r.name, func() (bool, error) {
		select {
		case <-p.Done():
			return true, nil
		default:
			return false, nil
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := p.Terminate(); err != nil { // it has ended; this is how
		t.Error(err)
	}
}

// kill ends both at once, as the loss of a machine does.
func (r *replica) kill(t *testing.T) {
	t.Helper()
	signal(t, r.running.Signer, syscall.SIGKILL)
	signal(t, r.running.Parent, syscall.SIGKILL)
	<-r.running.Signer.Done()
	<-r.running.Parent.Done()
	r.running = nil
}

// end leaves nothing behind, whatever became of the test.
func (r *replica) end(t *testing.T) {
	t.Helper()
	if r.running != nil {
		r.kill(t)
	}
}

func signal(t *testing.T, p *rig.Process, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(p.PID(), s); err != nil {
		t.Fatal(err)
	}
}

// lines are the last of its log.
func (r *replica) lines(n int) []string {
	text, err := os.ReadFile(r.log)
	if err != nil {
		return []string{err.Error()}
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return all[max(0, len(all)-n):]
}
