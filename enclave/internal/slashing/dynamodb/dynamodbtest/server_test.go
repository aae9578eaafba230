package dynamodbtest_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
)

// orphan has the test binary start a server, print its address, and leave its end to the system.
const orphan = "DYNAMODBTEST_ORPHAN"

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(orphan) != "" {
		s, err := dynamodbtest.Start()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stdout, s.Address())
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	if testing.Short() { // a server is a service, and there is nothing to test without one
		return
	}
	goleak.VerifyTestMain(m)
}

func TestServer(t *testing.T) {
	s, err := dynamodbtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for range 2 {
		name, err := s.NewTable(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	out, err := s.Client().ListTables(t.Context(), &dynamodb.ListTablesInput{})
	if err != nil || names[0] == names[1] || len(out.TableNames) != 2 {
		t.Errorf("tables %v, made %v, %v", out, names, err)
	}
	s.Stop()
	if !refuses(s.Address()) {
		t.Error("it answers after Stop")
	}
}

func refuses(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err == nil {
		conn.Close()
	}
	return err != nil
}

// TestEndsWithItsParent: nothing stays behind when a test binary is killed.
func TestEndsWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // elsewhere a process outlives its parent
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this test binary
	cmd.Env = append(os.Environ(), orphan+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if address = strings.TrimSpace(address); err != nil || refuses(address) {
		t.Errorf("no server at %q: %v", address, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !refuses(address) {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatal("the server lives on")
		}
	}
}

func TestMissing(t *testing.T) {
	project := t.TempDir()
	t.Chdir(project)
	if _, err := dynamodbtest.Start(); err == nil || !strings.Contains(err.Error(), "outside of the project") {
		t.Errorf("elsewhere: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(project, "scripts", "dynamodb"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(project, "scripts", "dynamodb", "pom.xml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dynamodbtest.Start(); err == nil || !strings.Contains(err.Error(), "run make test, or sh scripts/setup.sh tests") {
		t.Errorf("nothing fetched: %v", err)
	}
}
