//go:build linux

// Package faults breaks everything around a signer in a simulated enclave, one thing after the other, while clients have it sign.
package faults

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// build makes both programs as the Makefile does, each module alone. The parent has a name server that can break, told by
// testdata/configured.go: the machine's own would take root to replace.
func build(dir string) error {
	parent := filepath.Join("..", "..", "..", "parent")
	overlay, err := replace(dir, filepath.Join(parent, "internal", "resolve", "configured.go"), filepath.Join("testdata", "configured.go"))
	if err != nil {
		return err
	}
	return errors.Join(
		compile(dir, filepath.Join("..", ".."), signerName),
		compile(dir, parent, parentName, "-overlay", overlay))
}

// compile builds a program of the module in a directory.
func compile(dir, module, program string, flags ...string) error {
	args := slices.Concat([]string{"build", "-trimpath", "-o", dir + string(filepath.Separator)}, flags, []string{"./cmd/" + program})
	cmd := exec.Command("go", args...)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

// replace writes the file for -overlay that has one file, which must exist, built in the place of another.
func replace(dir, file, by string) (overlay string, err error) {
	if file, err = filepath.Abs(file); err != nil {
		return "", err
	}
	if by, err = filepath.Abs(by); err != nil {
		return "", err
	}
	for _, path := range []string{file, by} {
		if _, err := os.Stat(path); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {file: by}})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}
