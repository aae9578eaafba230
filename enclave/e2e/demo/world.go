package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
)

// How many keys in files are made on the first run.
const (
	keystores = 3
	rawKeys   = 1
)

// maxSocketDir leaves room for "/PORT.sock" within the 104 bytes that a unix socket's path may have on macOS (108 on Linux).
const maxSocketDir = 88

// world is what the processes find on disk.
type world struct {
	dir      string
	shown    string // dir, as people are told of it
	binaries string
	through  string // starts parent and signer, if it is not empty
	sockets  string
	config   string
	signer   string // the signer's binary, which a client measures
	chamber  string // directory of the chamber's state, and of what an operator has of it
	ports    ports
}

// prepareWorld makes what is missing, but for the configuration.
func prepareWorld(o options) (*world, error) {
	binaries, err := rig.Binaries(o.binaries)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return nil, fmt.Errorf("resolve --dir: %w", err)
	}
	w := &world{
		dir:      dir,
		shown:    o.dir,
		binaries: binaries,
		through:  o.through,
		sockets:  filepath.Join(dir, "vsock"),
		config:   filepath.Join(dir, "config.yaml"),
		signer:   filepath.Join(binaries, "containment-chamber"),
		ports:    o.ports,
	}
	if len(w.sockets) > maxSocketDir {
		return nil, fmt.Errorf("--dir: %s is too long: unix socket paths have at most about 100 bytes; name a shorter one", w.sockets)
	}
	for _, d := range []string{w.dir, w.sockets, w.keyDir(), w.path("kms")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("make the demonstration's directory: %w", err)
		}
	}
	return w, w.makeKeys()
}

func (w *world) path(name ...string) string {
	return filepath.Join(append([]string{w.dir}, name...)...)
}

// show is a path as people are told of it.
func (w *world) show(path string) string { return strings.Replace(path, w.dir, w.shown, 1) }

func (w *world) keyDir() string    { return w.path("keys") }
func (w *world) healthURL() string { return fmt.Sprintf("http://127.0.0.1:%d", w.ports.Health) }
func (w *world) metricsURL() string {
	return fmt.Sprintf("http://127.0.0.1:%d/metrics", w.ports.Metrics)
}
func (w *world) rootFile() string   { return w.path("nsm", "root.pem") }
func (w *world) policyFile() string { return w.path("policy.yaml") }

// makeKeys makes development keys on the first run and leaves them alone afterwards. They are worthless: their
// passwords lie beside them.
func (w *world) makeKeys() error {
	done := filepath.Join(w.keyDir(), ".made")
	if _, err := os.Stat(done); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if found, err := os.ReadDir(w.keyDir()); err != nil || len(found) > 0 {
		return errors.Join(fmt.Errorf("--dir: %s holds files that no finished first run made; name another directory", w.keyDir()), err)
	}
	for i := range keystores + rawKeys {
		write := rig.MakeKeystore
		if i >= keystores {
			write = rig.MakeRaw
		}
		if _, err := write(w.keyDir()); err != nil {
			return err
		}
	}
	return os.WriteFile(done, nil, 0o600)
}

// keysIn are the public keys that files of a directory are named after, of those that end so.
func keysIn(dir, end string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"+end))
	for i, file := range files {
		files[i] = "0x" + strings.TrimSuffix(filepath.Base(file), end)
	}
	return files, err
}

// startSplit starts parent and signer. The parent has what EKS Pod Identity tells a pod, the signer has none of it.
func (w *world) startSplit(c *cloud) (*rig.Split, error) {
	return rig.StartSplit(w.command(rig.Command{
		Name: "parent", Binary: filepath.Join(w.binaries, "containment-chamber-enclave-proxy"), Args: []string{"run", "-c", w.config},
		Env: c.environment(),
	}), w.command(rig.Command{Name: "signer", Binary: w.signer, Args: []string{"server", "-c", w.config}}))
}

// command has one started through what --through names.
func (w *world) command(c rig.Command) rig.Command {
	if w.through != "" {
		c.Binary, c.Args = w.through, append([]string{c.Binary}, c.Args...)
	}
	return c
}
