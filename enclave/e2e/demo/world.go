package main

import (
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/template"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
)

// How many keys are made on the first run.
const (
	keystores = 3
	rawKeys   = 1
	// lightRounds of PBKDF2 protect nothing, and take no time.
	lightRounds = 1000
)

// maxSocketDir leaves room for "/PORT.sock" within the 104 bytes that a unix socket's path may have on macOS (108 on Linux).
const maxSocketDir = 88

//go:embed config.yaml.tmpl
var configTemplate string

// world is what the two processes find on disk.
type world struct {
	dir     string
	shown   string // dir, as people are told of it
	sockets string
	config  string
	signer  string // the signer's binary, which a client measures
	ports   ports
}

// prepareWorld makes what is missing and writes the configuration.
func prepareWorld(o options) (*world, error) {
	w := &world{
		dir:     o.dir,
		sockets: filepath.Join(o.dir, "vsock"),
		config:  filepath.Join(o.dir, "config.yaml"),
		signer:  filepath.Join(o.binaries, "containment-chamber"),
		ports:   o.ports,
	}
	if len(w.sockets) > maxSocketDir {
		return nil, fmt.Errorf("--dir: %s is too long: unix socket paths have at most about 100 bytes; name a shorter one", w.sockets)
	}
	for _, d := range []string{w.dir, w.sockets, w.keyDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("make the demonstration's directory: %w", err)
		}
	}
	if err := w.makeKeys(); err != nil {
		return nil, err
	}
	return w, w.writeConfig()
}

func (w *world) keyDir() string    { return filepath.Join(w.dir, "keys") }
func (w *world) keyCount() int     { return keystores + rawKeys }
func (w *world) healthURL() string { return fmt.Sprintf("http://127.0.0.1:%d", w.ports.health) }
func (w *world) metricsURL() string {
	return fmt.Sprintf("http://127.0.0.1:%d/metrics", w.ports.metrics)
}
func (w *world) rootFile() string { return filepath.Join(w.dir, "nsm", "root.pem") }

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
		var seed [32]byte
		_, _ = rand.Read(seed[:]) // never fails
		key, err := bls.SecretKeyFromSeed(seed[:])
		if err != nil {
			return fmt.Errorf("make a development key: %w", err)
		}
		if i < keystores {
			err = filesystem.WriteKeystore(w.keyDir(), key, fmt.Appendf(nil, "development-%d", i), lightRounds)
		} else {
			err = filesystem.WriteRaw(w.keyDir(), key)
		}
		key.Wipe()
		if err != nil {
			return err
		}
	}
	return os.WriteFile(done, nil, 0o600)
}

func (w *world) writeConfig() error {
	t, err := template.New("config.yaml").Parse(configTemplate)
	if err != nil {
		return fmt.Errorf("read the configuration template: %w", err)
	}
	f, err := os.OpenFile(w.config, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	type portFields struct{ API, Health, Metrics, Parent int }
	err = t.Execute(f, struct {
		Dir, Sockets string
		Ports        portFields
	}{w.dir, w.sockets, portFields{w.ports.api, w.ports.health, w.ports.metrics, w.ports.parent}})
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}
