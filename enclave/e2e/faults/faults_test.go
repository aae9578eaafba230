//go:build linux

// Package faults breaks everything around a signer in a simulated enclave, one thing after the other, while clients have it sign.
package faults

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// rounds is how long the faults go on.
var rounds = flag.Int("faults.rounds", 1, "how often each fault strikes")

const (
	signerName = "containment-chamber"
	parentName = "containment-chamber-enclave-proxy"
)

// binaries is the directory of the programs under test, made by TestMain.
var binaries string

func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == resolving {
		fmt.Fprintln(os.Stderr, becomes(os.Args[2], os.Args[3:]))
		os.Exit(1)
	}
	flag.Parse()
	if testing.Short() { // every test here needs services and kills processes
		return
	}
	dir, err := os.MkdirTemp("", "faults")
	if err == nil {
		binaries = dir
		err = build(dir)
	}
	if err == nil {
		err = startAgent(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the programs under test:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(agented{m}, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// build makes both programs as the Makefile does, each module alone.
func build(dir string) error {
	for module, program := range map[string]string{filepath.Join("..", ".."): signerName, filepath.Join("..", "..", "..", "parent"): parentName} {
		cmd := exec.Command("go", "build", "-trimpath", "-o", dir+string(filepath.Separator), "./cmd/"+program)
		cmd.Dir = module
		cmd.Env = append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", program, err, out)
		}
	}
	return nil
}

// resolving has this test binary become another program, for which another file is /etc/resolv.conf.
const resolving = "resolving"

// becomes returns only if that is not permitted.
func becomes(file string, command []string) error {
	runtime.LockOSThread() // a name space is of a thread, and of the program that this thread becomes
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a name space of mounts: %w", err)
	}
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	if err := syscall.Mount(file, "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("replace /etc/resolv.conf: %w", err)
	}
	err := syscall.Exec(command[0], command, os.Environ()) //nolint:gosec // a program under test, with arguments of the test's own
	return fmt.Errorf("become %s: %w", command[0], err)
}
