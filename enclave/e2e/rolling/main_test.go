// Package rolling upgrades two replicas one after the other, rolls them back and kills them, while validator clients have them sign.
package rolling

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// binaries is the directory of the programs under test, made by TestMain.
var binaries string

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() { // its only test needs a database, and kills processes
		return
	}
	dir, err := os.MkdirTemp("", "roll")
	if err == nil {
		binaries = dir
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the programs under test:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// build makes both programs as the Makefile does, each module alone.
func build(dir string) error {
	for _, b := range []struct{ module, path string }{
		{filepath.Join("..", ".."), "./cmd/containment-chamber"},
		{filepath.Join("..", "..", "..", "parent"), "./cmd/containment-chamber-enclave-proxy"},
	} {
		cmd := exec.Command("go", "build", "-trimpath", "-o", dir+string(filepath.Separator), b.path)
		cmd.Dir = b.module
		cmd.Env = append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", b.path, err, out)
		}
	}
	return nil
}
