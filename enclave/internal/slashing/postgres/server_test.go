package postgres_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// password of the role signer, which nothing may print.
const password = "canary-hush-4711"

// server is a PostgreSQL server of our own. The superuser is admin, by the unix socket.
type server struct {
	dir  string
	port int
	ca   *x509.CertPool
	pem  []byte // of the CA
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	dbs  atomic.Int64
}

// program finds a program of PostgreSQL, which Debian keeps out of PATH.
func program(name string) (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) > 0 {
		return found[len(found)-1], nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is missing; run as root: apt-get install postgresql", name)
	}
	return filepath.EvalSymlinks(path)
}

// unprivileged has a command run as nobody if we are root, as whom PostgreSQL refuses to run.
func unprivileged(cmd *exec.Cmd) {
	if uid, gid, root := nobody(); root {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
}

func nobody() (uid, gid int, root bool) {
	if os.Getuid() != 0 {
		return 0, 0, false
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return 65534, 65534, true
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid, true
}

func own(path string) error {
	if uid, gid, root := nobody(); root {
		return os.Chown(path, uid, gid)
	}
	return nil
}

func run(name string, args ...string) error {
	path, err := program(name)
	if err != nil {
		return err
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = "/"
	unprivileged(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// newServer starts a server with a fresh data directory.
func newServer(settings ...string) (*server, error) {
	dir, err := os.MkdirTemp("", "slashing-pg-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	err = own(dir)
	if err == nil {
		err = run("initdb", "--pgdata="+s.data(), "--username=admin", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	}
	if err == nil {
		err = s.certify()
	}
	if err == nil {
		err = s.write("hba", "local all admin trust\nlocal all all scram-sha-256\nlocal replication admin trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
	}
	if err == nil {
		err = s.start(settings...)
	}
	if err == nil {
		err = s.admin("postgres", "CREATE ROLE signer LOGIN PASSWORD '"+password+"'")
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

// start starts the process and returns when it takes connections.
func (s *server) start(settings ...string) error {
	path, err := program("postgres")
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return err
	}
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port), "-k", s.dir}
	for _, setting := range append([]string{
		"listen_addresses=127.0.0.1", "ssl=on", "ssl_cert_file=" + s.dir + "/cert", "ssl_key_file=" + s.dir + "/key",
		"hba_file=" + s.dir + "/hba", "password_encryption=scram-sha-256", "max_connections=100", "lc_messages=C", "logging_collector=off",
	}, settings...) {
		args = append(args, "-c", setting)
	}
	s.cmd = exec.Command(path, args...)
	s.cmd.Dir = "/"
	unprivileged(s.cmd)
	s.cmd.WaitDelay = 10 * time.Second
	log, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.done = make(chan struct{})
	ready := make(chan bool, 1)
	go s.watch(log, ready)
	if !<-ready {
		return errors.New("postgres ended before it was ready")
	}
	return nil
}

func (s *server) watch(log io.Reader, ready chan<- bool) {
	var last bytes.Buffer
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if last.Len() < 1<<16 {
			last.WriteString(lines.Text() + "\n")
		}
		if strings.Contains(lines.Text(), "database system is ready to accept") {
			select {
			case ready <- true:
			default:
			}
		}
	}
	_ = s.cmd.Wait()
	select {
	case ready <- false:
		fmt.Fprintf(os.Stderr, "%s", last.Bytes())
	default:
	}
	close(s.done)
}

func (s *server) stop() error {
	if s.done != nil {
		_ = s.cmd.Process.Signal(syscall.SIGINT) // fast shutdown
		select {
		case <-s.done:
		case <-time.After(20 * time.Second):
			_ = s.cmd.Process.Kill()
			<-s.done
		}
	}
	return os.RemoveAll(s.dir)
}

// certify makes a CA and a certificate for the name localhost, which the address 127.0.0.1 is not.
func (s *server) certify() error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{"localhost"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	s.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.ca = x509.NewCertPool()
	s.ca.AppendCertsFromPEM(s.pem)
	return errors.Join(
		s.write("cert", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))),
		s.write("key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))))
}

func (s *server) write(name, text string) error {
	path := filepath.Join(s.dir, name)
	return errors.Join(os.WriteFile(path, []byte(text), 0o600), own(path))
}

// admin runs statements as the superuser.
func (s *server) admin(database string, statements ...string) error {
	ctx := context.Background()
	conn, err := s.connect(ctx, database)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", statement, err), conn.Close(ctx))
		}
	}
	return conn.Close(ctx)
}

func (s *server) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=admin dbname=%s", s.dir, s.port, database))
}

// database makes an empty one, which belongs to the role signer.
func (s *server) database(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("db%d", s.dbs.Add(1))
	if err := s.admin("postgres", "CREATE DATABASE "+name+" OWNER signer"); err != nil {
		t.Fatal(err)
	}
	return name
}

// processes are the server's, the postmaster last.
func (s *server) processes(t *testing.T) []int {
	t.Helper()
	conn, err := s.connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
	if err != nil {
		t.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return slices.Concat(pids, []int{s.cmd.Process.Pid})
}
