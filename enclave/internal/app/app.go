// Package app builds the rooms in order, runs them, and takes them down backwards.
package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/health"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/boot"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/certs"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/chamber"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem/progress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/intake"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/stored"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/kms"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/signing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/telemetry"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// Options are what a command composes.
type Options struct {
	Platform Platform
	// Config is the checked configuration of platform none. Elsewhere the configuration comes from the parent, and this one, if
	// given at all, has done its part when the platform was composed from it.
	Config *config.Config
	// Stdout takes the log lines of platform none.
	Stdout io.Writer
	// Bar shows the start on a terminal; nil if there is none.
	Bar *progress.Bar
}

// certificates is what the TLS listener serves.
type certificates interface {
	Run(ctx context.Context) error
	ServerConfig() *tls.Config
	Healthy() error
}

// signer is the whole process. Its fields are set by the stages of the start, in their order, and read afterwards.
type signer struct {
	options  Options
	registry *prometheus.Registry
	logs     *telemetry.Logs
	log      *zap.Logger
	yard     *house // holds the logs alone, which end after everything that logs
	progress *boot.Progress
	health   *health.Health
	limits   *api.Limits
	house    *house

	cfg         *config.Config
	digest      [wire.DigestSize]byte
	device      *nsm.Device
	roots       []*x509.Certificate // of the device's documents; nil are AWS's
	session     *boot.Session
	yaml        []byte // as the parent sent it
	dialer      *egress.Dialer
	credentials aws.CredentialsProvider // those that the parent relays; nil until something needs them
	backends    Backends
	kms         *kms.Client      // nil until something needs it
	chamber     *chamber.Chamber // nil without a master key
	stored      *stored.Source   // nil without stored keys
	ledger      slashing.Ledger  // nil with noop, which keeps nothing
	guard       *slashing.Guard
	keys        *keys
	intake      *intake.Intake // opens what comes from outside, one import at a time
	policies    *auth.Policies
	signing     *signing.Signer
	certs       certificates    // nil without TLS
	attested    *certs.Attested // the same if they are attested, else nil
	main        *gate           // what the main listener serves
	stopMain    func() error    // ends the main listener
}

// Run is the life of the process: it starts the rooms, serves until ctx ends or a room fails, and takes everything down.
// The error is nil after an orderly end.
func Run(ctx context.Context, o Options) error {
	defer egress.Lockdown()() // before anything could dial: a library that forgot its dialer fails loudly
	return run(ctx, o)
}

func run(ctx context.Context, o Options) error {
	s := &signer{options: o, cfg: o.Config}
	if o.Platform.TEE != nil {
		s.cfg = nil
	}
	if err := s.openLogs(); err != nil {
		return err
	}
	broken, fail := context.WithCancelCause(context.WithoutCancel(ctx)) // by a room that ends by itself, also while clients leave
	defer fail(nil)
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(broken, func() { stop(context.Cause(broken)) })()
	s.house = newHouse(ctx, s.log.Named("app"), fail)
	s.yard = newHouse(ctx, s.log.Named("app"), fail)
	s.progress = boot.NewProgress()
	s.health = health.New(s.progress)

	err := s.start(running)
	if err == nil {
		s.house.limit += s.cfg.Server.DrainTimeout
		<-running.Done()
		err = context.Cause(running)
		if d := s.cfg.Server.DrainDelay; ctx.Err() != nil && d > 0 {
			s.askToLeave(broken, d)
		}
	}
	if ctx.Err() != nil { // the end was asked for; a start that it cut short is no failure
		s.log.Info("asked to stop", zap.NamedError("interrupted", err))
		err = nil
	}
	return errors.Join(err, s.stop(err))
}

// askToLeave answers everything for so long, and tells clients to go: they come back by another way, which a balancer needs time to
// find, and none has a request on a connection that is then closed. There is nothing to wait for once a room is broken.
func (s *signer) askToLeave(broken context.Context, d time.Duration) {
	s.health.Drain()
	s.log.Info("not ready any more; clients are asked to leave", zap.Duration("for", d))
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-broken.Done():
		s.log.Error("a part ended while clients left", zap.Error(context.Cause(broken)))
	}
}

// start listens for probes first, so that they can tell what is missing, and then runs the stages.
func (s *signer) start(ctx context.Context) error {
	s.log.Info("starting", zap.String("version", wire.Release), zap.String("platform", s.options.Platform.Name))
	if s.cfg != nil {
		s.warn()
	}
	if err := s.listenEarly(); err != nil {
		return err
	}
	return boot.Run(ctx, s.log.Named("boot"), s.progress, s.stages())
}

// stop goes backwards: not ready, stop accepting, drain, finish what signs, wipe the keys, close the store, flush the logs.
func (s *signer) stop(cause error) error {
	s.health.Drain()
	if cause != nil {
		s.log.Error("stopping", zap.Error(cause))
	} else {
		s.log.Info("stopping")
	}
	err := s.house.stop()
	if err != nil {
		s.log.Error("stopped with errors", zap.Error(err))
	} else {
		s.log.Info("stopped")
	}
	if len(s.yard.rooms) == 0 { // platform none, or a start that failed before its stage "logs": nobody would learn why
		s.yard.start("logs", s.logs.Run)
	}
	return errors.Join(err, s.yard.stop())
}

func (s *signer) openLogs() error {
	s.registry = telemetry.NewRegistry(wire.Release, s.options.Platform.Name)
	o := telemetry.Options{Registry: s.registry}
	if tee := s.options.Platform.TEE; tee != nil {
		o.Process = telemetry.ProcessEnclave
		o.Output = telemetry.Shipped(func(ctx context.Context) (net.Conn, error) {
			return tee.Network.Dial(ctx, vsock.CIDParent, wire.PortLogs)
		}, telemetry.Bounds{})
	} else {
		o.Process = telemetry.ProcessSigner
		o.Output = telemetry.Direct(s.options.Stdout)
		o.Level = levelOf(s.cfg.Log.Level)
	}
	var err error
	s.logs, err = telemetry.NewLogs(o)
	if err != nil {
		return err
	}
	s.log = s.logs.Logger()
	return nil
}
