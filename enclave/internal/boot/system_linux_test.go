package boot

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// hardened is what a process is after Harden.
type hardened struct {
	Warnings    []string
	Err         string
	Core, Files unix.Rlimit
	Dumpable    int
}

// hardenVariable makes the test binary harden itself and tell what it is then, because nothing undoes it.
const hardenVariable = "BOOT_TEST_HARDEN"

func hardenChild() bool {
	if os.Getenv(hardenVariable) == "" {
		return false
	}
	var h hardened
	warnings, err := Harden()
	for _, w := range warnings {
		h.Warnings = append(h.Warnings, w.Error())
	}
	if err != nil {
		h.Err = err.Error()
	}
	_ = unix.Getrlimit(unix.RLIMIT_CORE, &h.Core)
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &h.Files)
	h.Dumpable, _ = unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	_ = json.NewEncoder(os.Stdout).Encode(h)
	return true
}

func TestHarden(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), hardenVariable+"=1")
	child.Stderr = os.Stderr
	out, err := child.Output()
	if err != nil {
		t.Fatal(err)
	}
	var h hardened
	if err := json.Unmarshal(out, &h); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	if h.Err != "" || h.Core != (unix.Rlimit{}) || h.Dumpable != 0 {
		t.Errorf("got %+v", h)
	}
	warned := strings.Join(h.Warnings, "; ")
	if h.Files.Cur < openFiles && !strings.Contains(warned, "limit of open files is ") {
		t.Errorf("%d open files without a warning: %+v", h.Files.Cur, h)
	}
	for _, w := range h.Warnings {
		if !strings.HasPrefix(w, "limit of open files is ") && !strings.HasPrefix(w, "memory is not locked, so keys could be swapped out: ") {
			t.Errorf("unclear warning %q", w)
		}
	}
}

func TestInterfaceUp(t *testing.T) {
	if err := LoopbackUp(); err != nil { // up already on any machine that runs tests
		t.Error(err)
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil || lo.Flags&net.FlagUp == 0 {
		t.Errorf("lo is %+v, %v", lo, err)
	}
	for name, want := range map[string]string{
		"nothere0":                 "read the flags of nothere0: no such device",
		strings.Repeat("long", 10): "not the name of a device: invalid argument",
	} {
		if err := interfaceUp(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// What is no random device cannot be credited.
func TestCreditEntropy(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := creditEntropy(f, 8); err == nil || !strings.Contains(err.Error(), "credit 8 bits: inappropriate ioctl for device") {
		t.Errorf("got %v", err)
	}
}
