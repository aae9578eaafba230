package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

// remoteStore is a slashing store that is reached through the parent.
type remoteStore struct {
	settings string   // of anti_slashing
	port     int      // of the server, on localhost
	routes   string   // beside the store's, as YAML
	secrets  []string // which must not go to the server in clear
}

// routePort is the vsock port of the route to a store.
const routePort = 8001

// configure writes what a simulated split with this store needs, and returns the configuration.
func (s remoteStore) configure(t *testing.T, dir, sockets string, ports []int) string {
	t.Helper()
	config := splitWorld(t, dir, sockets, ports)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, config, strings.NewReplacer(
		fmt.Sprintf("backend: sqlite, sqlite: {path: %s/slashing.sqlite}", dir), s.settings,
		"tee: {", fmt.Sprintf("tee: {egress: [{name: store, host: localhost, port: %d, vsock_port: %d, plain: true}%s], ", s.port, routePort, s.routes),
	).Replace(string(text)))
	return config
}

func postgresStore(t *testing.T) remoteStore {
	t.Helper()
	server, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	_, url, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return remoteStore{
		settings: fmt.Sprintf("backend: postgres, url: %q, ca_pem: %q", url, strings.ReplaceAll(string(server.CAPEM()), "\n", " ")),
		port:     server.Port(), secrets: []string{postgrestest.Password, "INSERT INTO"},
	}
}

func dynamodbStore(t *testing.T) remoteStore {
	t.Helper()
	server, err := dynamodbtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	table, err := server.NewTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := net.SplitHostPort(server.Address())
	port, _ := strconv.Atoi(text)
	const secret = "canary/hush/4711"
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	return remoteStore{ // in clear, since DynamoDB Local has no TLS
		settings: fmt.Sprintf("backend: dynamodb, region: eu-central-1, dynamodb: {table: %s, endpoint: 'http://localhost:%d'}", table, port),
		port:     port, secrets: []string{secret},
	}
}

// TestStoreBehindTheParent: a signer in an enclave reaches its store by the route table alone, and the parent that carries the bytes
// sees neither the password nor a statement.
func TestStoreBehindTheParent(t *testing.T) {
	if testing.Short() { // databases are services
		return
	}
	withAgent := func(t *testing.T) remoteStore { return behindAgent(t, newPodAgent(t, time.Hour)) }
	for name, make := range map[string]func(*testing.T) remoteStore{"postgres": postgresStore, "dynamodb": withAgent} {
		t.Run(name, func(t *testing.T) {
			store, dir, ports := make(t), shortDir(t), freePorts(t, 4)
			enclaveSide, parentSide := filepath.Join(dir, "e"), filepath.Join(dir, "p")
			var configs []string
			for _, side := range []string{parentSide, enclaveSide} {
				configs = append(configs, store.configure(t, dir, side, ports))
			}
			r := record(t, enclaveSide, parentSide, routePort, agentPort)
			start(t, "containment-chamber-enclave-proxy", "run", "-c", configs[0])
			signer := start(t, "containment-chamber", "server", "-c", configs[1])
			awaitReady(t, newClient(t), fmt.Sprintf("http://127.0.0.1:%d", ports[0]), signer)
			client := attestedClient(t, dir)
			sign := fmt.Sprintf("https://127.0.0.1:%d/api/v1/eth2/sign/%s", ports[2], interopPublic)
			if status, body := call(t, client, http.MethodPost, sign, vote(10, 11)); status != http.StatusOK {
				t.Errorf("sign: %d %s", status, body)
			}
			if status, body := call(t, client, http.MethodPost, sign, vote(9, 12)); status != http.StatusPreconditionFailed || !strings.Contains(body, "surrounds") {
				t.Errorf("surrounding vote: %d %s", status, body)
			}
			if r.size(routePort) == 0 {
				t.Error("nothing went by the route")
			}
			for _, secret := range store.secrets {
				if r.contains(routePort, []byte(secret)) { // the configuration, which it sends itself, may hold it
					t.Errorf("%q passed the parent in clear", secret)
				}
			}
		})
	}
}

// TestATableIsMadeOnce: a signer does not make it and says who does; migrate does, again without harm.
func TestATableIsMadeOnce(t *testing.T) {
	if testing.Short() { // databases are services
		return
	}
	store := dynamodbStore(t)
	config, url, _ := standard(t, "")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(text), "anti_slashing:")
	writeFile(t, config, string(text)[:at]+"anti_slashing: {"+regexp.MustCompile(`table: [^,]*`).ReplaceAllString(store.settings, "table: made-by-hand")+"}\n")
	p := start(t, "containment-chamber", "server", "-c", config)
	if code := p.wait(); code != 1 || !strings.Contains(p.text(), "made-by-hand") || !strings.Contains(p.text(), "slashing migrate") {
		t.Errorf("exit code %d: %s", code, p.text())
	}
	for range 2 {
		if p := start(t, "containment-chamber", "slashing", "migrate", "-c", config); p.wait() != 0 || !strings.Contains(p.text(), "has the schema of this release") {
			t.Errorf("migrate: %s", p.text())
		}
	}
	p = start(t, "containment-chamber", "server", "-c", config)
	client := newClient(t)
	awaitReady(t, client, url, p)
	sign := url + "/api/v1/eth2/sign/" + interopPublic
	if status, body := call(t, client, http.MethodPost, sign, vote(10, 11)); status != http.StatusOK {
		t.Errorf("sign: %d %s", status, body)
	}
	if status, body := call(t, client, http.MethodPost, sign, vote(9, 12)); status != http.StatusPreconditionFailed {
		t.Errorf("surrounding vote: %d %s", status, body)
	}
	if p := start(t, "containment-chamber", "slashing", "status", "-c", config); p.wait() != 0 || !strings.Contains(p.text(), "store: dynamodb made-by-hand") {
		t.Errorf("status: %s", p.text())
	}
}
