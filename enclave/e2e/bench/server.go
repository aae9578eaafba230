package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/shared/atls"
)

//go:embed server.yaml.tmpl
var configTemplate string

// site says where the servers' files are.
type site struct {
	binaries string // the product's
	dir      string // of configurations, databases and logs
	sockets  string // of the split, a short path
	batch    bool   // whether batches are switched on
	database string // URL of the PostgreSQL database that keeps the votes; empty for SQLite
}

// server is a running signer, with its parent if it has one.
type server struct {
	name    string
	signer  *rig.Process
	parent  *rig.Process // nil without
	address string       // of the API
	tls     *tls.Config  // nil for plain HTTP
	metrics string       // URL
	keys    []bls.PublicKey
	epoch   uint64 // the next target that no key has voted for
	slot    uint64 // the next slot of messages that are not slashable
}

// firstEpoch of the votes is in the network's past, so that no check of the clock is in the way, and has as many digits
// as the present one.
const firstEpoch = 100_000

type fields struct {
	API, Metrics, TLS, Parent int
	Keys, Dir, Sockets        string
	Database                  string
	Split, Batch              bool
}

// start starts a signer over a key directory and waits until it is ready. With split it runs behind a parent, with
// attested TLS.
func (s site) start(ctx context.Context, name, keyDir string, keys []bls.PublicKey, split bool) (v *server, err error) {
	ports, err := rig.FreePorts(4)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the server's directory: %w", err)
	}
	f := fields{ports[0], ports[1], ports[2], ports[3], keyDir, dir, s.sockets, s.database, split, s.batch}
	config := filepath.Join(dir, "config.yaml")
	if err := writeConfig(config, f); err != nil {
		return nil, err
	}
	v = &server{
		name: name, keys: keys, epoch: firstEpoch, slot: firstEpoch,
		address: fmt.Sprintf("127.0.0.1:%d", f.API), metrics: fmt.Sprintf("http://127.0.0.1:%d/metrics", f.Metrics),
	}
	if err := v.startProcesses(s, dir, config, split); err != nil {
		return nil, errors.Join(err, v.stop())
	}
	if err := rig.AwaitReady(ctx, "http://"+v.address); err != nil {
		return nil, errors.Join(rig.Explain(err, v.processes()...), v.stop())
	}
	if !split {
		return v, nil
	}
	v.address = fmt.Sprintf("127.0.0.1:%d", f.TLS)
	if v.tls, err = s.trust(dir, config); err != nil {
		return nil, errors.Join(err, v.stop())
	}
	return v, nil
}

func (v *server) startProcesses(s site, dir, config string, split bool) (err error) {
	if split {
		v.parent, err = rig.Start(rig.Command{
			Name: "parent of " + v.name, Binary: filepath.Join(s.binaries, "containment-chamber-enclave-proxy"),
			Args: []string{"run", "-c", config}, Log: filepath.Join(dir, "parent.log"),
		})
		if err != nil {
			return err
		}
	}
	v.signer, err = rig.Start(rig.Command{
		Name: v.name, Binary: s.signer(),
		Args: []string{"server", "-c", config}, Log: filepath.Join(dir, "signer.log"),
	})
	return err
}

func (s site) signer() string { return filepath.Join(s.binaries, "containment-chamber") }

func (s site) trust(dir, config string) (*tls.Config, error) {
	policy, root, err := rig.Trust(s.signer(), config, filepath.Join(dir, "nsm", "root.pem"))
	if err != nil {
		return nil, err
	}
	c, err := atls.ClientConfig(atls.Options{Policy: policy, Roots: []*x509.Certificate{root}})
	if err != nil {
		return nil, err
	}
	c.NextProtos = []string{"http/1.1"}
	return c, nil
}

func writeConfig(path string, f fields) error {
	t, err := template.New("server.yaml").Parse(configTemplate)
	if err != nil {
		return fmt.Errorf("read the configuration template: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if err := errors.Join(t.Execute(file, f), file.Close()); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

// connect opens n connections. Those that are open when it fails are returned too.
func (v *server) connect(ctx context.Context, n int) (clients []*client, err error) {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	for range n {
		conn, err := dialer.DialContext(ctx, "tcp", v.address)
		if err != nil {
			return clients, fmt.Errorf("connect to %s: %w", v.name, err)
		}
		if v.tls == nil {
			clients = append(clients, newClient(conn))
			continue
		}
		secured := tls.Client(conn, v.tls)
		clients = append(clients, newClient(secured))
		if err := secured.HandshakeContext(ctx); err != nil {
			return clients, fmt.Errorf("connect to %s: %w", v.name, err)
		}
	}
	return clients, nil
}

// disconnect closes connections on which nothing is under way.
func disconnect(clients []*client) {
	for _, c := range clients {
		_ = c.conn.Close()
	}
}

// usage is the CPU time that the signer and its parent have used so far.
type usage struct{ signer, parent time.Duration }

func (v *server) usage() (u usage, err error) {
	if u.signer, err = cpuTime(v.signer.PID()); err != nil || v.parent == nil {
		return u, err
	}
	u.parent, err = cpuTime(v.parent.PID())
	return u, err
}

func (v *server) processes() (p []*rig.Process) {
	for _, one := range []*rig.Process{v.signer, v.parent} {
		if one != nil {
			p = append(p, one)
		}
	}
	return p
}

// explain adds what the processes wrote last, if one has ended.
func (v *server) explain(err error) error {
	for _, p := range v.processes() {
		select {
		case <-p.Done():
			return rig.Explain(err, v.processes()...)
		default:
		}
	}
	return err
}

// stop ends the signer first, so that the parent carries its last lines.
func (v *server) stop() error {
	var failures []error
	for _, p := range v.processes() {
		failures = append(failures, p.Terminate())
	}
	return errors.Join(failures...)
}
