package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/e2e/rig"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb/dynamodbtest"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/postgres/postgrestest"
	tables "github.com/unforeseen-consequences/containment-chamber/enclave/internal/store/dynamodb"
	"github.com/unforeseen-consequences/containment-chamber/shared/attestation/issuer"
)

// maxDir leaves room for "/parent/v_9443" within the 108 bytes that a unix socket's path may have.
const maxDir = 88

// world is what the enclaves run in: an instance, AWS, the database, and what lies on disk.
type world struct {
	options  options
	boots    int // so far
	root     *issuer.Root
	aws      *cloud
	tables   *dynamodbtest.Server
	database *postgrestest.Server
	sealed   string // the database's password, as KMS encrypted it, in base64
	ports    ports
	instance instance
	guest    image // signs its documents itself
	shipped  image // is as operators get it
	cleanup  []func() error
}

type ports struct{ API, Health, Metrics, Parent int }

func newWorld(ctx context.Context, o options) (w *world, err error) {
	for _, dir := range []*string{&o.dir, &o.binaries, &o.parts} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return nil, err
		}
	}
	if len(o.dir) > maxDir {
		return nil, fmt.Errorf("-dir: %s is too long: unix socket paths have at most about 100 bytes; name a shorter one", o.dir)
	}
	w = &world{options: o}
	if err := w.make(ctx); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

// make makes all of it, in an order in which each part finds what it needs.
func (w *world) make(ctx context.Context) error {
	for _, name := range []string{"", "parent", "keys"} {
		if err := os.MkdirAll(w.path(name), 0o700); err != nil {
			return err
		}
	}
	found, err := rig.FreePorts(4)
	if err != nil {
		return err
	}
	w.ports = ports{found[0], found[1], found[2], found[3]}
	for _, step := range []func(context.Context) error{
		w.makeRoot, w.startCloud, w.buildImages, w.allowImage, w.startTables, w.startDatabase, w.serveInstance, w.serveAWS, w.linkSockets,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) path(name ...string) string {
	return filepath.Join(append([]string{w.options.dir}, name...)...)
}

func (w *world) binary(name string) string { return filepath.Join(w.options.binaries, name) }

// socket is the enclave's, as the device has it; what it sends to port P arrives at the same name with _P.
func (w *world) socket() string { return w.path("v") }

// parentSocket is the same, as the parent sees it.
func (w *world) parentSocket() string { return w.path("parent", "v") }

func (w *world) rootFile() string { return w.path("root.pem") }

// makeRoot makes the development root.
func (w *world) makeRoot(context.Context) (err error) {
	if w.root, err = issuer.NewRoot(time.Now()); err != nil {
		return err
	}
	cert, _, err := w.root.MarshalPEM()
	if err != nil {
		return err
	}
	return os.WriteFile(w.rootFile(), cert, 0o600)
}

func (w *world) startTables(ctx context.Context) error {
	server, err := dynamodbtest.Start()
	if err != nil {
		return err
	}
	w.tables = server
	w.cleanup = append(w.cleanup, func() error { server.Stop(); return nil })
	o := tables.Options{
		Table: stateTable, Region: dynamodbtest.Region, Endpoint: server.Endpoint(), Credentials: server.Credentials(),
		Dial: new(net.Dialer).DialContext, Timeout: 30 * time.Second,
	}
	if err := tables.MakeState(ctx, o); err != nil {
		return err
	}
	o.Table = keyTable
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
	password := rig.RandomText()
	err = server.Exec(ctx, "postgres", "CREATE ROLE "+databaseRole+" LOGIN PASSWORD '"+password+"'", "CREATE DATABASE slashing OWNER "+databaseRole)
	if err != nil {
		return err
	}
	return w.sealPassword(ctx, password)
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
