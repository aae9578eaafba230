package launcher

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// host is the directory in which stand-ins of nitro-cli and of the log sink keep what there is, and read how they shall fail. The real
// nitro-cli needs an EC2 instance.
type host string

// hostVariable names the host to the stand-ins.
const hostVariable = "TEST_HOST"

// enclave is what "nitro-cli describe-enclaves" tells of one, as far as the launcher reads it.
type enclave struct {
	EnclaveName, EnclaveID, State string
	EnclaveCID                    uint32
	NumberOfCPUs, MemoryMiB       int
	ProcessID                     int
}

// Switches of the stand-ins, each a file of the host.
const (
	describeFails   = "describe-fails"
	describeBabbles = "describe-babbles" // it ends well, and says no JSON
	describeMisses  = "describe-misses"  // the next answer is empty, once
	runFails        = "run-fails"
	runWaits        = "run-waits"   // run-enclave goes on when it is gone
	runAppears      = "run-appears" // if run-enclave is ended while it waits, the next look finds nothing, and the one after it an enclave
	terminateFails  = "terminate-fails"
	sinkEnds        = "sink-ends" // the log sink ends at once, once
)

// lateID is of the enclave that runAppears tells of.
const lateID = "i-0123456789abcdef0-enclate"

func (h host) path(name string) string { return filepath.Join(string(h), name) }

func (h host) set(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(h.path(name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (h host) unset(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(h.path(name)); err != nil {
		t.Fatal(err)
	}
}

func (h host) is(name string) bool {
	_, err := os.Stat(h.path(name))
	return err == nil
}

// once is true if name was set, and unsets it.
func (h host) once(name string) bool { return os.Remove(h.path(name)) == nil }

// change has the list of enclaves replaced by what f makes of it, while nobody else reads or writes it.
func (h host) change(f func([]enclave) []enclave) error {
	lock, err := os.OpenFile(h.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	var all []enclave
	text, err := os.ReadFile(h.path("enclaves"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &all); err != nil {
			return err
		}
	}
	if text, err = json.Marshal(f(all)); err != nil {
		return err
	}
	return os.WriteFile(h.path("enclaves"), text, 0o600)
}

func (h host) enclaves(t *testing.T) []enclave {
	t.Helper()
	var found []enclave
	if err := h.change(func(all []enclave) []enclave {
		found = slices.Clone(all)
		return all
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// crash has every enclave end.
func (h host) crash(t *testing.T) {
	t.Helper()
	if err := h.change(func([]enclave) []enclave { return []enclave{} }); err != nil {
		t.Fatal(err)
	}
}

// record notes a call.
func (h host) record(call string) error {
	file, err := os.OpenFile(h.path("calls"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, call)
	return errors.Join(err, file.Close())
}

// calls are those that begin so, in their order.
func (h host) calls(t *testing.T, beginnings ...string) []string {
	t.Helper()
	file, err := os.Open(h.path("calls"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var found []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(lines.Text(), b) }) {
			found = append(found, lines.Text())
		}
	}
	return found
}
