package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// agentPort is the vsock port of the route to the agent.
const agentPort = 8002

// podAgent stands for the agent of EKS Pod Identity on the parent's host: for the token in a file, and no other, it gives credentials, others
// each time. The environment tells of it as EKS does.
type podAgent struct {
	*httptest.Server
	file  string
	given chan string // the key IDs

	mu      sync.Mutex // held while the fields below are used
	token   string
	life    time.Duration
	count   int
	refused int
}

// agentSecret is a part of every secret key that it gives.
const agentSecret = "canary/hush/of"

func newPodAgent(t *testing.T, life time.Duration) *podAgent {
	t.Helper()
	a := &podAgent{file: filepath.Join(t.TempDir(), "token"), life: life, given: make(chan string, 100)}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	a.rotate(t, "canary-token-1")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost:"+strconv.Itoa(a.port())+"/v1/credentials")
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", a.file)
	// The enclave's process has the environment too, and must not heed it.
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAHOSTILE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hostile")
	return a
}

func (a *podAgent) port() int {
	_, text, _ := net.SplitHostPort(a.Listener.Addr().String())
	port, _ := strconv.Atoi(text)
	return port
}

// rotate replaces the token as kubelet does, by renaming, and takes the old one no longer.
func (a *podAgent) rotate(t *testing.T, token string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	writeFile(t, a.file+".new", token)
	if err := os.Rename(a.file+".new", a.file); err != nil {
		t.Fatal(err)
	}
	a.token = token
}

func (a *podAgent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Method != http.MethodGet || r.URL.Path != "/v1/credentials" || r.Header.Get("Authorization") != a.token {
		a.refused++
		http.Error(w, `{"code":"AccessDenied","message":"another token"}`, http.StatusUnauthorized)
		return
	}
	a.count++
	id := fmt.Sprintf("ASIA4711N%d", a.count)
	fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Token":"session","Expiration":%q}`, id, agentSecret+id, time.Now().Add(a.life).UTC().Format(time.RFC3339))
	a.given <- id
}

// behindAgent is a table that the signer reaches with an agent's credentials.
func behindAgent(t *testing.T, a *podAgent) remoteStore {
	t.Helper()
	store := dynamodbStore(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAHOSTILE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hostile")
	store.secrets = []string{agentSecret, a.token, "AKIAHOSTILE"}
	store.routes = fmt.Sprintf(", {name: agent, host: localhost, port: %d, vsock_port: %d, plain: true}", a.port(), agentPort)
	return store
}

// TestCredentialsOfTheParent: an enclave signs with what the parent's agent gives for the token of the moment, through a rotation and a
// parent that restarts, and the parent writes none of it down.
func TestCredentialsOfTheParent(t *testing.T) {
	if testing.Short() { // a database is a service
		return
	}
	agent := newPodAgent(t, 20*time.Second)
	store, dir, ports := behindAgent(t, agent), shortDir(t), freePorts(t, 4)
	enclaveSide, parentSide := filepath.Join(dir, "e"), filepath.Join(dir, "p")
	var configs []string
	for _, side := range []string{parentSide, enclaveSide} {
		configs = append(configs, store.configure(t, dir, side, ports))
	}
	r := record(t, enclaveSide, parentSide, routePort, agentPort)
	parent := start(t, "containment-chamber-enclave-proxy", "run", "-c", configs[0])
	signer := start(t, "containment-chamber", "server", "-c", configs[1])
	awaitReady(t, newClient(t), fmt.Sprintf("http://127.0.0.1:%d", ports[0]), signer)
	client := attestedClient(t, dir)
	epoch := 10
	sign := func() {
		t.Helper()
		for len(agent.given) > 0 {
			<-agent.given
		}
		next := <-agent.given
		last := <-agent.given // the enclave has taken the one before
		url := fmt.Sprintf("https://127.0.0.1:%d/api/v1/eth2/sign/%s", ports[2], interopPublic)
		epoch++
		if status, body := call(t, client, http.MethodPost, url, vote(epoch-1, epoch)); status != http.StatusOK {
			t.Errorf("sign with %s: %d %s", next, status, body)
		}
		if !r.contains(routePort, []byte("Credential="+next+"/")) && !r.contains(routePort, []byte("Credential="+last+"/")) {
			t.Errorf("no request was signed with %s or %s", next, last)
		}
	}
	sign()
	agent.rotate(t, "canary-token-2")
	sign()

	_ = parent.cmd.Process.Kill()
	parent.wait()
	agent.rotate(t, "canary-token-3")
	again := start(t, "containment-chamber-enclave-proxy", "run", "-c", configs[0])
	again.await("enclave is back")
	awaitReady(t, newClient(t), fmt.Sprintf("http://127.0.0.1:%d", ports[0]), signer)
	sign()

	agent.mu.Lock()
	if agent.refused != 0 {
		t.Errorf("%d requests with a token that is old", agent.refused)
	}
	agent.mu.Unlock()
	if !r.contains(wire.PortBoot, []byte("canary-token-3")) {
		t.Error("the token did not go by the boot port: the recorder is not in the way")
	}
	for _, secret := range []string{agentSecret, "canary-token", "AKIAHOSTILE"} {
		if r.contains(routePort, []byte(secret)) {
			t.Errorf("%q went to the table", secret)
		}
		if strings.Contains(parent.text()+again.text()+signer.text(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

// TestTokenThatCannotBeRead: both processes name the variable and the file.
func TestTokenThatCannotBeRead(t *testing.T) {
	if testing.Short() { // a database is a service
		return
	}
	agent := newPodAgent(t, time.Hour)
	store, dir, ports := behindAgent(t, agent), shortDir(t), freePorts(t, 4)
	side := filepath.Join(dir, "s")
	config := store.configure(t, dir, side, ports)
	if err := os.Remove(agent.file); err != nil {
		t.Fatal(err)
	}
	parent := start(t, "containment-chamber-enclave-proxy", "run", "-c", config)
	signer := start(t, "containment-chamber", "server", "-c", config)
	reason := "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: stat " + agent.file + ": no such file or directory"
	parent.await(reason)
	url := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	parent.await("no new AWS credentials") // the signer's own line
	if status, body := call(t, newClient(t), http.MethodGet, url+"/readyz", ""); status != http.StatusServiceUnavailable || !strings.Contains(body, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
		t.Errorf("/readyz: %d %s", status, body)
	}
	agent.rotate(t, "canary-token-2") // it is there now
	awaitReady(t, newClient(t), url, signer)
}
