package storm

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

// limit bounds every wait for something that comes at once on a healthy machine.
const limit = 60 * time.Second

// signer is a configured signer, which is started as often as it is killed.
type signer struct {
	t      *testing.T
	dir    string
	keys   []bls.PublicKey
	store  string // the section anti_slashing
	binary string
	args   []string
	// genesis is when slot 0 of the network was. The clock of the votes stands far above all of them unless it is moved.
	genesis int64
}

// longAgo is a genesis that leaves room for more epochs than any run takes.
const longAgo = 1

func newSigner(t *testing.T, keys int, store string) *signer {
	t.Helper()
	s := &signer{t: t, dir: t.TempDir(), store: store, binary: "containment-chamber", args: []string{"server"}, genesis: longAgo}
	directory := filepath.Join(s.dir, "keys")
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		var seed [32]byte
		binary.BigEndian.PutUint64(seed[:], uint64(i))
		key, err := bls.SecretKeyFromSeed(seed[:])
		if err != nil {
			t.Fatal(err)
		}
		if err := filesystem.WriteRaw(directory, key); err != nil {
			t.Fatal(err)
		}
		s.keys = append(s.keys, key.PublicKey())
	}
	return s
}

func (s *signer) configuration() string {
	network, _ := chain()
	return fmt.Sprintf(`network: custom
custom_network: {genesis_validators_root: "0x%x", genesis_fork_version: "%s", genesis_time: %d, slots_per_epoch: %d, seconds_per_slot: %d}
server: {listen_port: 0}
metrics: {listen_address: 127.0.0.1, listen_port: 0}
key_sources: {filesystem: {paths: [%s]}}
anti_slashing: %s
`, network.ValidatorsRoot, network.GenesisForkVersion, s.genesis, slotsPerEpoch, secondsPerSlot, filepath.Join(s.dir, "keys"), s.store)
}

// write writes the configuration and returns its path.
func (s *signer) write() string {
	s.t.Helper()
	path := filepath.Join(s.dir, "config.yaml")
	if err := os.WriteFile(path, []byte(s.configuration()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// life is one run of a signer, from its start to its end.
type life struct {
	t       *testing.T
	process *rig.Process
	address string // of the API
	client  *http.Client
}

// start returns when the signer is ready.
func (s *signer) start(args ...string) *life {
	s.t.Helper()
	l := s.launch(args...)
	l.await(func() bool { l.address = listening(l.process.Lines()); return l.address != "" })
	l.await(func() bool { return l.get("/readyz") == http.StatusOK })
	return l
}

// launch starts the process, which ends with the test.
func (s *signer) launch(args ...string) *life {
	s.t.Helper()
	p, err := rig.Start(rig.Command{
		Name: "signer", Binary: filepath.Join(binaries, s.binary), Args: slices.Concat(s.args, args, []string{"-c", s.write()}),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	l := &life{t: s.t, process: p, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: limit}}
	s.t.Cleanup(l.kill)
	return l
}

// listening finds the address of the main listener in the log, "" if it is not there yet.
func listening(log []string) string {
	for _, text := range log {
		var entry struct{ Message, Listener, Address string }
		if json.Unmarshal([]byte(text), &entry) == nil && entry.Message == "listening" && entry.Listener == "main" {
			return entry.Address
		}
	}
	return ""
}

// await asks for something until it is there. The process must live meanwhile.
func (l *life) await(there func() bool) {
	l.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(limit)
	for !there() {
		select {
		case <-tick.C:
		case <-l.process.Done():
			l.t.Fatalf("the signer ended by itself:\n%s", l.log())
		case <-late:
			l.t.Fatalf("not there within %v:\n%s", limit, l.log())
		}
	}
}

// get returns the status of an answer, or 0.
func (l *life) get(path string) int {
	res, err := l.client.Get("http://" + l.address + path)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// kill ends the process as a machine that loses its power, and returns when it has ended.
func (l *life) kill() {
	if !l.ended() {
		_ = syscall.Kill(l.process.PID(), syscall.SIGKILL)
		<-l.process.Done()
	}
	l.client.CloseIdleConnections()
}

// ended says whether the process has ended.
func (l *life) ended() bool {
	select {
	case <-l.process.Done():
		return true
	default:
		return false
	}
}

// finish ends the process in order.
func (l *life) finish() {
	l.t.Helper()
	l.client.CloseIdleConnections()
	if err := l.process.Terminate(); err != nil {
		l.t.Errorf("%v:\n%s", err, l.log())
	}
}

// log is what the process wrote last.
func (l *life) log() string {
	lines := l.process.Lines()
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}
