// Package postgrestest runs PostgreSQL servers of its own for tests: fresh ones, standbys, paused ones and killed ones.
package postgrestest

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// Role is what signers connect as. The databases that NewDatabase makes belong to it.
	Role = "signer"
	// Password is Role's, made up, which nothing may print.
	Password = "canary-hush-4711"
)

// stopLimit is how long a shutdown may take before the server is killed, which is a failure.
const stopLimit = time.Minute

// Server is a PostgreSQL server that listens on 127.0.0.1 and on a unix socket, with a data directory of its own. By the socket the
// superuser is admin, without a password. Its methods are not for concurrent use, but for NewDatabase, Connect and Exec.
type Server struct {
	dir      string
	port     int
	settings []string
	caPEM    []byte
	cas      *x509.CertPool
	dbs      *atomic.Int64 // how many databases were made; a standby counts on
	cmd      *exec.Cmd
	done     chan struct{} // closed when all processes of the server have ended; nil before the first start
	paused   []int
}

// Start starts a server with a fresh data directory. A setting is name=value, as in postgresql.conf. The programs of PostgreSQL must
// be installed; as root they are run as nobody, because PostgreSQL refuses to run as root.
func Start(settings ...string) (*Server, error) {
	s, err := newServer(settings)
	if err != nil {
		return nil, err
	}
	err = Run("initdb", "--pgdata="+s.DataDir(), "--username=admin", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	if err == nil {
		err = s.certify()
	}
	if err == nil {
		err = s.listen()
	}
	if err == nil {
		err = s.Exec(context.Background(), "postgres", "CREATE ROLE "+Role+" LOGIN PASSWORD '"+Password+"'")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a PostgreSQL server: %w", err), s.Stop())
	}
	return s, nil
}

// newServer makes the server's directory. A unix socket's path must be short, so that it lies in the directory for temporary files.
func newServer(settings []string) (*Server, error) {
	dir, err := os.MkdirTemp("", "slashing-pg-")
	if err != nil {
		return nil, fmt.Errorf("directory of a PostgreSQL server: %w", err)
	}
	s := &Server{dir: dir, settings: settings, dbs: new(atomic.Int64)}
	err = errors.Join(own(dir), s.write("hba", `local all admin trust
local replication admin trust
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
`))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// DataDir is the server's data directory.
func (s *Server) DataDir() string { return filepath.Join(s.dir, "data") }

// SocketDir is the directory of the server's unix socket.
func (s *Server) SocketDir() string { return s.dir }

// Port is where the server listens, on 127.0.0.1. It is the same after Restart.
func (s *Server) Port() int { return s.port }

// CAs vouch for the server's certificate, which is for the name localhost and for no address.
func (s *Server) CAs() *x509.CertPool { return s.cas }

// CAPEM is the certificate of the authority in CAs.
func (s *Server) CAPEM() []byte { return s.caPEM }

// listen starts the server at a port that nobody has. PostgreSQL cannot be told to find one, and one that was free a moment ago may
// be taken: it is tried.
func (s *Server) listen() error {
	for try := 1; ; try++ {
		s.port = 20000 + rand.IntN(12000) //nolint:gosec // below the ports that connections get; nothing depends on it being secret
		err := s.start()
		if err == nil || try == 10 || !strings.Contains(err.Error(), "could not bind") {
			return err
		}
	}
}

// Restart starts the server again, at the same port, after Shutdown or Kill. Its settings stay, and further ones are added.
func (s *Server) Restart(settings ...string) error {
	s.settings = append(s.settings, settings...)
	if err := s.start(); err != nil {
		return fmt.Errorf("start the PostgreSQL server again: %w", err)
	}
	return nil
}

// start returns when the server takes connections.
func (s *Server) start() error {
	args := []string{"-D", s.DataDir(), "-p", strconv.Itoa(s.port), "-k", s.dir}
	for _, setting := range append([]string{
		"listen_addresses=127.0.0.1", "ssl=on", "ssl_cert_file=" + s.dir + "/cert", "ssl_key_file=" + s.dir + "/key",
		"hba_file=" + s.dir + "/hba", "password_encryption=scram-sha-256", "max_connections=100", "lc_messages=C", "logging_collector=off",
		"dynamic_shared_memory_type=mmap", // in the data directory, where a killed server leaves nothing behind
	}, s.settings...) {
		args = append(args, "-c", setting)
	}
	cmd, err := Command("postgres", args...)
	if err != nil {
		return err
	}
	log, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.done = cmd, make(chan struct{})
	ready := make(chan error, 1)
	go s.watch(log, ready)
	return <-ready
}

// watch reads the log to its end, which comes when the last process of the server has ended: all of them write to it.
func (s *Server) watch(log io.Reader, ready chan<- error) {
	var first strings.Builder
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if first.Len() < 1<<16 {
			first.WriteString(lines.Text() + "\n")
		}
		if strings.Contains(lines.Text(), "database system is ready to accept") {
			select {
			case ready <- nil:
			default:
			}
		}
	}
	err := s.cmd.Wait()
	close(s.done)
	select {
	case ready <- fmt.Errorf("postgres ended before it was ready (%w):\n%s", errors.Join(err, lines.Err()), &first):
	default:
	}
}

// Shutdown ends the server as an administrator does: connections are ended, and all is on disk.
func (s *Server) Shutdown() error { return s.end(syscall.SIGINT) }

// Stop ends the server, running or not, and removes all that was made for it.
func (s *Server) Stop() error {
	return errors.Join(s.end(syscall.SIGQUIT), s.removeSharedMemory(), os.RemoveAll(s.dir))
}

// end ends the server by a signal that PostgreSQL takes as its wish to shut down, if it is running.
func (s *Server) end(how syscall.Signal) error {
	if s.done == nil {
		return nil
	}
	err := s.Resume()
	_ = s.cmd.Process.Signal(how) // the process may have ended already
	select {
	case <-s.done:
		return err
	case <-time.After(stopLimit):
		return errors.Join(err, fmt.Errorf("the PostgreSQL server did not end within %v", stopLimit), s.Kill())
	}
}
