package app

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/boot"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/telemetry"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/memvsock"
)

// hostsVariable names the file that a process in namespaces of its own mounts on /etc/hosts.
const hostsVariable = "APP_TEST_HOSTS"

// TestNamesLeadToTheRoutesByThemselves: in an enclave, code that knows nothing of the dialer reaches the routes by their names, and
// nothing else. It runs in a process with a network and an /etc/hosts of its own, as an enclave has. Where the kernel permits no such
// namespaces, the tests of egress and boot hold the parts: listeners, hosts file, limits.
func TestNamesLeadToTheRoutesByThemselves(t *testing.T) {
	if hosts := os.Getenv(hostsVariable); hosts != "" {
		insideAnEnclave(t, hosts)
		return
	}
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v") //nolint:gosec // this binary again
	child.Env = append(os.Environ(), hostsVariable+"="+hosts)
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) { // forbidden, or none left (user.max_net_namespaces)
		t.Logf("no namespaces here (%v): the tests of egress and boot stand alone", err)
		return
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	if after, err := os.ReadFile("/etc/hosts"); err != nil || string(after) != string(before) {
		t.Errorf("this machine's /etc/hosts was changed: %q, %v", after, err)
	}
}

func insideAnEnclave(t *testing.T, hosts string) {
	if err := unix.Mount(hosts, "/etc/hosts", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer egress.Lockdown()()
	if err := boot.LoopbackUp(); err != nil {
		t.Fatal(err)
	}
	var network memvsock.Network
	l, err := network.Listen(8001)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.WriteString(c, "the parent's port 8001")
			_ = c.Close()
		}
	}()
	s := &signer{
		options: Options{Platform: Platform{TEE: &TEE{Network: &network, Host: true}}}, registry: telemetry.NewRegistry("test", "nitro"),
		log: zap.NewNop(), house: newHouse(t.Context(), zap.NewNop(), func(err error) { t.Error(err) }),
		cfg: &config.Config{
			TEE:    config.TEE{Egress: []config.Route{{Name: "db", Host: "DB.internal", Port: 5432, VsockPort: 8001}}},
			Parent: config.Parent{Egress: config.ParentEgress{MaxConnections: 2, ConnectTimeout: quickLimit, IdleTimeout: bootLimit}},
		},
	}
	if err := s.openEgress(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", "db.internal:5432")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != "the parent's port 8001" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	_ = c.Close()
	refused(t, "db.internal:5433", "connection refused")
	refused(t, "elsewhere.internal:5432", "egress is locked")
	refused(t, "192.0.2.1:5432", "network is unreachable")
	if err := s.house.stop(); err != nil {
		t.Error(err)
	}
	refused(t, "db.internal:5432", "connection refused")
}

func refused(t *testing.T, address, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), quickLimit)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil {
		_ = c.Close()
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want %s", address, err, want)
	}
}
