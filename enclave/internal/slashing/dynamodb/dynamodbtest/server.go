// Package dynamodbtest runs AWS's DynamoDB Local as a server of its own for tests.
package dynamodbtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// startLimit is how long the server may take to answer. It takes about a second.
const startLimit = time.Minute

// Server is DynamoDB Local, which keeps its tables in memory. It listens at a port of all addresses: it cannot be told another. Its
// methods are safe for concurrent use, but for Stop.
type Server struct {
	port   int
	cmd    *exec.Cmd
	log    log
	done   chan struct{} // closed when the process has ended
	client *dynamodb.Client
	idle   *http.Transport // of client
}

// Start starts a server, which ends with this process if Stop does not end it before. What it consists of must have been fetched:
// make test does it, and sh scripts/setup.sh tests.
func Start() (*Server, error) {
	for try := 1; ; try++ {
		s, err := start()
		// The port was free a moment ago, and may be taken.
		if err == nil || try == 3 || !strings.Contains(err.Error(), "already in use") {
			return s, err
		}
	}
}

func start() (*Server, error) {
	parts, err := parts()
	if err != nil {
		return nil, err
	}
	s := &Server{done: make(chan struct{})}
	if s.port, err = freePort(); err != nil {
		return nil, fmt.Errorf("a port for DynamoDB Local: %w", err)
	}
	//nolint:gosec // what was fetched, for tests
	s.cmd = exec.Command("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.library.path="+parts,
		"-cp", filepath.Join(parts, "*"), "com.amazonaws.services.dynamodbv2.local.main.ServerRunner",
		"-inMemory", "-sharedDb", "-disableTelemetry", "-port", strconv.Itoa(s.port))
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = os.TempDir(), &s.log, &s.log
	endsWithUs(s.cmd)
	s.idle = &http.Transport{MaxIdleConnsPerHost: 64}
	s.client = dynamodb.New(dynamodb.Options{
		BaseEndpoint: aws.String(s.Endpoint()), Region: Region, Credentials: s.Credentials(), HTTPClient: &http.Client{Transport: s.idle},
	})
	started := make(chan error, 1)
	go s.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start DynamoDB Local: %w; it needs Java, which make test and sh scripts/setup.sh tests install", err)
	}
	if err := s.await(); err != nil {
		s.Stop()
		return nil, fmt.Errorf("start DynamoDB Local: %w\n%s", err, s.log.String())
	}
	return s, nil
}

// run is the process from its start to its end. Linux takes the end of the thread that started a process for that of its parent, so
// that this one keeps its thread.
func (s *Server) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(s.done)
	err := s.cmd.Start()
	started <- err
	if err == nil {
		_ = s.cmd.Wait() // it is killed in the end
	}
}

// await returns when the server answers.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		_, err := s.client.ListTables(ctx, &dynamodb.ListTablesInput{}, func(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} })
		select {
		case <-s.done: // whoever answered at its port was another one
			return errors.New("it ended at once")
		default:
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-again.C:
		}
	}
}

// Stop ends the server.
func (s *Server) Stop() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.done
	s.idle.CloseIdleConnections()
}

// freePort is a port that nobody has. DynamoDB Local does not tell at which it listens if it may choose.
func freePort() (int, error) {
	l, err := net.Listen("tcp", ":0") //nolint:forbidigo,gosec // nothing is served; the server wants the port of all addresses in a moment
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, errors.Join(err, l.Close())
	}
	n, err := strconv.Atoi(port)
	return n, errors.Join(err, l.Close())
}

// parts is the directory of what DynamoDB Local consists of, in the project that the working directory is in.
func parts() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("look for DynamoDB Local: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "scripts", "dynamodb", "pom.xml")); err == nil {
			break
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("look for DynamoDB Local: the working directory is outside of the project")
		}
		dir = up
	}
	dir = filepath.Join(dir, ".cache", "dynamodb-local", "lib")
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("DynamoDB Local is missing (%w); run make test, or sh scripts/setup.sh tests", err)
	}
	return dir, nil
}
