package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// confinedName is the name under which this test binary becomes the signer, confined.
const confinedName = "confined-signer"

//nolint:gochecknoinits // before TestMain, which would build the binaries again
func init() {
	if filepath.Base(os.Args[0]) != confinedName {
		return
	}
	runtime.LockOSThread() // a filter is of a thread, and of the program that this thread becomes
	err := onlyUnixSockets()
	if err == nil {
		binary := filepath.Join(filepath.Dir(os.Args[0]), "containment-chamber")
		err = syscall.Exec(binary, append([]string{binary}, os.Args[1:]...), os.Environ()) //nolint:gosec // the signer beside it, with the test's own arguments
	}
	fmt.Fprintln(os.Stderr, confinedName+":", err)
	os.Exit(2)
}

// onlyUnixSockets has the kernel stop this thread, and all that comes of it, at the first socket that is none of the family that stands
// for vsock here (seccomp(2)). The signal it sends is one that a Go program dies of, with a trace that tells who wanted the socket.
func onlyUnixSockets() error {
	const (
		load     = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal    = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		leave    = unix.BPF_RET | unix.BPF_K
		number   = 0  // struct seccomp_data: nr
		argument = 16 // args[0], its lower half
	)
	filter := []unix.SockFilter{
		{Code: load, K: number},
		{Code: equal, K: unix.SYS_IO_URING_SETUP, Jt: 4}, // a ring makes sockets by another door
		{Code: equal, K: unix.SYS_SOCKET, Jf: 2},
		{Code: load, K: argument},
		{Code: equal, K: unix.AF_UNIX, Jf: 1},
		{Code: leave, K: unix.SECCOMP_RET_ALLOW},
		{Code: leave, K: unix.SECCOMP_RET_TRAP},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("set the filter: %w", err)
	}
	return nil
}

// startConfined runs a signer that has the family unix alone, in a network name space in which nothing is. Where the kernel permits no
// name spaces, the filter stands alone: without a socket there is no network, whatever the name space holds.
func startConfined(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(binaries, confinedName)
	if err := os.Symlink(self, name); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: confinedName, done: make(chan struct{}), more: make(chan struct{})}
	for _, attributes := range []*syscall.SysProcAttr{{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}},
	}, nil} {
		p.cmd = exec.Command(name, args...)
		p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr = environment(), w, w, attributes
		err = p.cmd.Start()
		if attributes == nil || !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOSPC) { // forbidden, or none left
			break
		}
		t.Logf("no network name space (%v): the filter of system calls stands alone", err)
	}
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go p.read(r)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.name, p.text())
		}
	})
	return p
}

// TestAnEnclaveTouchesNothingButItsTransport runs a signer that the kernel ends at its first socket beside those that stand for vsock,
// and has it do all that it does: start, reach its store, sign, refuse, answer probes and scrapes, stop.
func TestAnEnclaveTouchesNothingButItsTransport(t *testing.T) {
	if testing.Short() { // databases are services
		return
	}
	withAgent := func(t *testing.T) remoteStore { return behindAgent(t, newPodAgent(t, time.Hour)) }
	for name, make := range map[string]func(*testing.T) remoteStore{"postgres": postgresStore, "dynamodb": withAgent} {
		t.Run(name, func(t *testing.T) {
			store, dir, ports := make(t), shortDir(t), freePorts(t, 4)
			config := store.configure(t, dir, filepath.Join(dir, "s"), ports)
			start(t, "containment-chamber-enclave-proxy", "run", "-c", config)
			signer := startConfined(t, "server", "-c", config)
			awaitReady(t, newClient(t), fmt.Sprintf("http://127.0.0.1:%d", ports[0]), signer)
			onlySockets(t, signer.cmd.Process.Pid)

			client := attestedClient(t, dir)
			sign := fmt.Sprintf("https://127.0.0.1:%d/api/v1/eth2/sign/%s", ports[2], interopPublic)
			if status, body := call(t, client, http.MethodPost, sign, vote(10, 11)); status != http.StatusOK {
				t.Errorf("sign: %d %s", status, body)
			}
			if status, body := call(t, client, http.MethodPost, sign, vote(9, 12)); status != http.StatusPreconditionFailed {
				t.Errorf("surrounding vote: %d %s", status, body)
			}
			if status, body := call(t, newClient(t), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", ports[1]), ""); status != http.StatusOK ||
				!strings.Contains(body, `containment_egress_dials_total{outcome="connected",route="store"}`) {
				t.Errorf("metrics: %d %s", status, body)
			}
			if code := signer.terminate(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// onlySockets looks whether the process is confined at all, so that its life proves something.
func onlySockets(t *testing.T, pid int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("the signer runs without %q", want)
		}
	}
	ours, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil || ours == theirs {
		t.Logf("the signer has no network name space of its own (%v): the filter stands alone", err)
		return
	}
	devices, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(devices), ":"); n != 1 || !strings.Contains(string(devices), "lo:") {
		t.Errorf("the signer's name space has devices:\n%s", devices)
	}
	routes, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/fib_trie", pid))
	if err != nil || strings.Contains(string(routes), "127.0.0.1") {
		t.Errorf("the signer's name space has routes, %v:\n%s", err, routes)
	}
}
