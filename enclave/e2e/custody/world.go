package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm/software"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
	tables "github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/dynamodb"
)

// maxDir leaves room for "/parent/9443.sock" within the 104 bytes that a unix socket's path may have on macOS (108 on Linux).
const maxDir = 80

// world is what the story takes place in: AWS, the databases, and what lies on disk.
type world struct {
	dir      string
	keyCount int
	refresh  int
	images   map[string]image
	root     *x509.Certificate // of the simulated enclaves' documents
	ports    ports
	aws      *cloud
	tables   *dynamodbtest.Server
	database *postgrestest.Server
	password string // of the database's role, which the enclave alone opens
	sealed   string // the same, as KMS encrypted it for this database alone, in base64
	cleanup  []func() error

	sealedContext map[string]string // that the password was encrypted with
}

type ports struct{ API, Health, Metrics, Parent int }

// image is a program that runs as an enclave.
type image struct{ name, path, pcr0 string }

// The images of the story.
const (
	genuine  = "genuine"
	upgrade  = "upgrade"
	stranger = "stranger"
)

// newWorld starts what is not the product's, and makes three images of it: the genuine one, the next release, and a stranger's.
func newWorld(ctx context.Context, o options) (w *world, err error) {
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return nil, err
	}
	if len(o.dir) > maxDir {
		return nil, fmt.Errorf("-dir: %s is too long: unix socket paths have at most about 100 bytes; name a shorter one", o.dir)
	}
	w = &world{dir: o.dir, keyCount: o.keys, refresh: o.refresh, images: map[string]image{}}
	if err := w.make(ctx, o.binaries); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

// make makes all of it, in an order in which each part finds what it needs.
func (w *world) make(ctx context.Context, binaries string) error {
	for _, name := range []string{"", "nsm", "keys", "bin", enclaveSide, parentSide} {
		if err := os.MkdirAll(w.path(name), 0o700); err != nil {
			return err
		}
	}
	found, err := rig.FreePorts(4)
	if err != nil {
		return err
	}
	w.ports = ports{found[0], found[1], found[2], found[3]}
	for i, name := range []string{genuine, upgrade, stranger} {
		if err := w.addImage(name, binaries, i); err != nil {
			return err
		}
	}
	if err := w.makeRoot(); err != nil {
		return err
	}
	for _, start := range []func(context.Context) error{w.startCloud, w.startTables, w.startDatabase, w.linkSockets} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) path(name ...string) string {
	return filepath.Join(append([]string{w.dir}, name...)...)
}

// addImage copies the signer's binary with so many bytes more: it does the same, and has another PCR0.
func (w *world) addImage(name, binaries string, more int) error {
	program, err := os.ReadFile(filepath.Join(binaries, "containment-chamber"))
	if err != nil {
		return fmt.Errorf("the product's binary: %w", err)
	}
	path := w.path("bin", name)
	if err := os.WriteFile(path, append(program, make([]byte, more)...), 0o700); err != nil { //nolint:gosec // it is run
		return err
	}
	m, err := software.Measure(path)
	if err != nil {
		return err
	}
	w.images[name] = image{name, path, m.PCR0.String()}
	return link(filepath.Join(binaries, "containment-chamber-enclave-proxy"), w.path("bin", "parent"))
}

// link lets a file be found by another name.
func link(file, name string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Symlink(file, name)
}

// makeRoot makes the development root, which the enclaves then find.
func (w *world) makeRoot() (err error) {
	w.root, err = rig.MakeRoot(w.path("nsm"), w.images[genuine].path, rig.KMSRole)
	return err
}

// makeKeystores writes as many keystores, with their passwords beside them, and returns the public keys.
func (w *world) makeKeystores() ([]string, error) {
	keys := make([]string, w.keyCount)
	var making errgroup.Group
	making.SetLimit(runtime.GOMAXPROCS(0))
	for i := range keys {
		making.Go(func() (err error) {
			keys[i], err = rig.MakeKeystore(w.path("keys"))
			return err
		})
	}
	return keys, making.Wait()
}

func (w *world) startTables(ctx context.Context) error {
	server, err := dynamodbtest.Start()
	if err != nil {
		return err
	}
	w.tables = server
	w.cleanup = append(w.cleanup, func() error { server.Stop(); return nil })
	return w.makeTables(ctx, stateTable, keyTable)
}

// makeTables makes empty tables, one for the signer state and one for keys.
func (w *world) makeTables(ctx context.Context, state, keys string) error {
	o := tables.Options{
		Table: state, Region: dynamodbtest.Region, Endpoint: w.tables.Endpoint(), Credentials: w.tables.Credentials(),
		Dial: new(net.Dialer).DialContext, Timeout: 10 * time.Second,
	}
	if err := tables.MakeState(ctx, o); err != nil {
		return err
	}
	o.Table = keys
	return tables.MakeKeys(ctx, o)
}

// startDatabase makes a role that logs in with a password alone, which nobody but this function knows in clear.
func (w *world) startDatabase(ctx context.Context) error {
	server, err := postgrestest.Start()
	if err != nil {
		return err
	}
	w.database = server
	w.cleanup = append(w.cleanup, server.Stop)
	w.password = rig.RandomText()
	if err := server.Exec(ctx, "postgres", "CREATE ROLE "+databaseRole+" LOGIN PASSWORD '"+w.password+"'"); err != nil {
		return err
	}
	for _, name := range []string{slashingDatabase, otherDatabase} {
		if err := w.makeDatabase(ctx, name); err != nil {
			return err
		}
	}
	return w.sealPassword(ctx)
}

func (w *world) makeDatabase(ctx context.Context, name string) error {
	return w.database.Exec(ctx, "postgres", "CREATE DATABASE "+name+" OWNER "+databaseRole)
}

// stop takes down in reverse what was started.
func (w *world) stop() error {
	var all error
	for i := len(w.cleanup) - 1; i >= 0; i-- {
		all = errors.Join(all, w.cleanup[i]())
	}
	w.cleanup = nil
	return all
}
