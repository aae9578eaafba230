//go:build linux

package faults

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

const (
	// limit bounds every wait for something that comes soon on a healthy machine.
	limit = 60 * time.Second
	// storePort and deafPort are the vsock ports of the routes.
	storePort, deafPort, credentialsPort = 8001, 8002, 8003
	// How many connections the entrances and the routes have.
	maxIngress, maxPerSource, maxEgress = 500, 300, 60
	storeName                           = "store.test"
)

// world is a parent and a signer in a simulated enclave, with all that is around them.
type world struct {
	t      *testing.T // of the whole world
	now    *testing.T // of the fault that strikes now
	dir    string
	config string
	book   *book
	names  *names
	gate   *gate // before the store
	deaf   *net.TCPListener

	parent, signer             *rig.Process
	api                        string // host:port
	health, metrics, parentURL string
	callers                    []*caller
	scrapes                    *http.Client // keeps its connections

	mu    sync.Mutex // held while conns is used
	conns map[net.Conn]bool
}

// loopback is an address of this host that nobody else uses.
func loopback() netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(254)), byte(rand.IntN(256)), byte(2 + rand.IntN(250))})
}

// newWorld starts everything around a store at an address, and clients that work until the test ends.
func newWorld(t *testing.T, store string, section func(address string) string) *world {
	t.Helper()
	ports, err := rig.FreePorts(5)
	if err != nil {
		t.Fatal(err)
	}
	url := func(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }
	w := &world{
		t: t, now: t, dir: shortDir(t), book: newBook(t), conns: map[net.Conn]bool{},
		api: fmt.Sprintf("127.0.0.1:%d", ports[0]), health: url(ports[1]), metrics: url(ports[2]), parentURL: url(ports[3]),
	}
	w.names = newNames(t)
	at := loopback()
	w.names.lead(at, 1)
	w.gate = newGate(t, netip.AddrPortFrom(at, uint16(ports[4])).String(), store)
	w.gate.open()
	if w.deaf, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.deaf.Close() })
	keys := w.makeKeys(5)
	w.config = filepath.Join(w.dir, "config.yaml")
	network, _ := chain()
	write(t, w.config, fmt.Sprintf(`network: custom
custom_network: {genesis_validators_root: "0x%x", genesis_fork_version: "%s", genesis_time: 1, slots_per_epoch: %d, seconds_per_slot: %d}
server: {listen_port: %d}
metrics: {listen_address: 127.0.0.1, listen_port: %d}
tls: {mode: atls, listen_port: %d}
tee:
  platform: simulated
  simulated: {socket_dir: %[8]s/s, state_dir: %[8]s/nsm}
  egress:
    - {name: store, host: %s, port: %d, vsock_port: %d, plain: true}
    - {name: deaf, host: 127.0.0.1, port: %d, vsock_port: %d, plain: true}
    - {name: agent, host: localhost, port: %d, vsock_port: %d, plain: true}
key_sources: {filesystem: {paths: [%[8]s/keys]}}
anti_slashing: %[16]s
parent:
  health: {listen_port: %[17]d}
  ingress: {max_connections: %[18]d, max_connections_per_source: %[19]d}
  egress: {max_connections: %[20]d}
`, network.ValidatorsRoot, network.GenesisForkVersion, slotsPerEpoch, secondsPerSlot, ports[1], ports[2], ports[0], w.dir,
		storeName, ports[4], storePort, w.deaf.Addr().(*net.TCPAddr).Port, deafPort, agentPort(), credentialsPort,
		section(fmt.Sprintf("%s:%d", storeName, ports[4])), ports[3], maxIngress, maxPerSource, maxEgress))
	scrapes := &http.Transport{}
	t.Cleanup(scrapes.CloseIdleConnections)
	w.scrapes = &http.Client{Transport: scrapes, Timeout: deadline}
	w.startParent()
	w.startSigner()
	w.await("readiness", func() bool { return w.get(w.health+"/readyz") == http.StatusOK })
	w.work(keys)
	return w
}

// shortDir is a directory whose name leaves room for socket names.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(binaries, "w")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "s"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *world) makeKeys(n int) (keys []bls.PublicKey) {
	w.t.Helper()
	directory := filepath.Join(w.dir, "keys")
	if err := os.Mkdir(directory, 0o700); err != nil {
		w.t.Fatal(err)
	}
	for i := range n {
		var seed [32]byte
		binary.BigEndian.PutUint64(seed[:], uint64(i+1))
		key, err := bls.SecretKeyFromSeed(seed[:])
		if err != nil {
			w.t.Fatal(err)
		}
		if err := filesystem.WriteRaw(directory, key); err != nil {
			w.t.Fatal(err)
		}
		keys = append(keys, key.PublicKey())
	}
	return keys
}

func (w *world) startParent() {
	w.now.Helper()
	program, args := w.names.under(filepath.Join(binaries, parentName), "run", "-c", w.config)
	w.parent = w.start(rig.Command{Name: "parent", Binary: program, Args: args})
}

func (w *world) startSigner() {
	w.now.Helper()
	w.signer = w.start(rig.Command{Name: "signer", Binary: filepath.Join(binaries, signerName), Args: []string{"server", "-c", w.config}})
}

// start starts a process that ends with the test, at the latest.
func (w *world) start(c rig.Command) *rig.Process {
	w.now.Helper()
	p, err := rig.Start(c)
	if err != nil {
		w.now.Fatal(err)
	}
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Log(rig.Explain(fmt.Errorf("the %s", c.Name), p))
		}
		kill(p)
	})
	return p
}

// kill ends a process as a machine that loses its power.
func kill(p *rig.Process) {
	select {
	case <-p.Done():
	default:
		_ = syscall.Kill(p.PID(), syscall.SIGKILL)
		<-p.Done()
	}
}
