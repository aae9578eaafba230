package e2e

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
)

// site is where an operator has keys and signers.
type site struct {
	dir  string
	keys []bls.PublicKey
	now  uint64 // epoch when the test began
}

func newSite(t *testing.T, keys int) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	network, _ := hoodi(t)
	s.now, _ = network.EpochAt(time.Now())
	if err := os.Mkdir(filepath.Join(s.dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		var seed [32]byte
		binary.BigEndian.PutUint64(seed[:], uint64(i+1))
		secret, err := bls.SecretKeyFromSeed(seed[:])
		if err != nil {
			t.Fatal(err)
		}
		s.keys = append(s.keys, secret.PublicKey())
		err = filesystem.WriteRaw(filepath.Join(s.dir, "keys"), secret)
		secret.Wipe()
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// configure writes the configuration of a signer with a store, and returns the signer's URL.
func (s *site) configure(t *testing.T, file, store string) (url string) {
	t.Helper()
	ports := freePorts(t, 2)
	writeFile(t, filepath.Join(s.dir, file), fmt.Sprintf(`network: hoodi
server: {listen_port: %d}
metrics: {listen_address: 127.0.0.1, listen_port: %d}
key_sources: {filesystem: {paths: [%s/keys]}}
anti_slashing: {%s}
`, ports[0], ports[1], s.dir, store))
	return fmt.Sprintf("http://127.0.0.1:%d", ports[0])
}

// database is a store at a port of localhost where the server answers, or what leads to it.
func database(server *postgrestest.Server, port int, name string) (store string) {
	return fmt.Sprintf("backend: postgres, url: %q, force_ipv4: true, ca_pem: %q",
		fmt.Sprintf("postgres://%s:%s@localhost:%d/%s", postgrestest.Role, postgrestest.Password, port, name),
		strings.ReplaceAll(string(server.CAPEM()), "\n", " "))
}

// newDatabaseServer starts one with the database slashing.
func newDatabaseServer(t *testing.T) *postgrestest.Server {
	t.Helper()
	server, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	if err := server.Exec(t.Context(), "postgres", "CREATE DATABASE slashing OWNER "+postgrestest.Role); err != nil {
		t.Fatal(err)
	}
	return server
}

func newStandby(t *testing.T, primary *postgrestest.Server) *postgrestest.Server {
	t.Helper()
	standby, err := primary.StartStandby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Stop() })
	return standby
}

// signer starts one and waits until it signs.
func (s *site) signer(t *testing.T, file, url string) *process {
	t.Helper()
	p := start(t, "containment-chamber", "server", "-c", filepath.Join(s.dir, file))
	awaitReady(t, newClient(t), url, p)
	return p
}

// duties are those of some keys in n epochs from one on, a vote and a block in each, on a side of a fork.
func duties(t *testing.T, keys []bls.PublicKey, from, n uint64, side byte) (all []duty) {
	t.Helper()
	network, _ := hoodi(t)
	for _, key := range keys {
		for epoch := from; epoch < from+n; epoch++ {
			all = append(all, attests(t, key, epoch-1, epoch, side), proposes(t, key, (epoch+1)*network.SlotsPerEpoch-1, side))
		}
	}
	return all
}

// awaitHealth waits until a signer's health is as wanted, and returns what it says.
func awaitHealth(t *testing.T, url string, status int) string {
	t.Helper()
	client := newClient(t)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for {
		got, body := call(t, client, http.MethodGet, url+"/healthcheck", "")
		if got == status {
			return body
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("/healthcheck: %d %s, want %d within 30 s", got, body, status)
		}
	}
}

// procedure is the heading that everything is about.
const procedure = "The procedure"

// heights are what "slashing status" says of a store where all keys are at the same ones.
var heights = regexp.MustCompile(`(?m)^attestations +(\d+), highest source epoch (\d+), highest target epoch (\d+)\nblocks +(\d+), highest slot (\d+)$`)

// recovers follows the procedure of the page for the store of config.yaml, and returns the epoch that it has raised all keys to: the
// next one.
func (s *site) recovers(t *testing.T, operator prompt) (epoch uint64) {
	t.Helper()
	network, _ := hoodi(t)
	earliest, _ := network.EpochAt(time.Now())
	said := operator.run(t, step{procedure, "containment-chamber slashing raise"})
	latest, _ := network.EpochAt(time.Now())
	found := heights.FindStringSubmatch(said)
	if found == nil {
		t.Fatalf("no heights in:\n%s", said)
	}
	var n [5]uint64
	for i, text := range found[1:] {
		var err error
		if n[i], err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	epoch = n[2]
	if keys := uint64(len(s.keys)); n[0] != keys || n[3] != keys || n[1] != epoch || n[4] != (epoch+1)*network.SlotsPerEpoch-1 || epoch < earliest+1 || epoch > latest+1 {
		t.Fatalf("want %d keys at epoch %d and the last slot of it:\n%s", keys, earliest+1, said)
	}
	return epoch
}
