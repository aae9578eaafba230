// Package storm kills, cuts, stops and races signers while they sign, and holds everything that they signed against everything else.
package storm

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
)

var (
	kills = flag.Int("storm.kills", 10, "how often each test that kills signers kills one, for each store")
	pairs = flag.Int("storm.pairs", 5000, "conflicting pairs of votes that processes race for over PostgreSQL; over DynamoDB 1 for 50 of them, but at least 300")
	pause = flag.Duration("storm.pause", 3*time.Second, "how long the processes of a database are stopped")
)

// binaries is the directory of the programs under test, made by TestMain.
var binaries string

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() { // every test here needs services and kills processes
		return
	}
	if os.Getenv(racerConfig) != "" {
		if err := race(os.Getenv(racerConfig), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	dir, err := os.MkdirTemp("", "storm")
	if err == nil {
		binaries = dir
		err = errors.Join(build(dir), // credentials where signers look for them
			os.Setenv("AWS_ACCESS_KEY_ID", dynamodbtest.KeyID), os.Setenv("AWS_SECRET_ACCESS_KEY", dynamodbtest.SecretKey))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the programs under test:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(served{m}, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// served stops the servers after the tests, before leaks are looked for.
type served struct{ *testing.M }

func (s served) Run() int {
	code := s.M.Run()
	if err := stopServers(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// build makes the signer as the Makefile does, and the one that kills itself.
func build(dir string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", dir+string(filepath.Separator), "./cmd/containment-chamber", "./e2e/storm/crashing")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
