package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/openapi"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/boot"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/certs"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/intake"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/telemetry"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// earlyDrain bounds the end of listeners that only probes and scrapes use.
const earlyDrain = time.Second

// shortLivedPause is the time between two tries for evidence that lives longer.
const shortLivedPause = 10 * time.Second

// listenEarly serves what a start is watched by: health and metrics. The TLS listener is bound when it can answer, so that
// nobody is kept waiting before.
func (s *signer) listenEarly() error {
	var err error
	if s.limits, err = api.NewLimits(api.DefaultRequests, s.registry); err != nil {
		return err
	}
	s.limits.LeaveWhile(s.health.Draining)
	if err := s.showHealth(); err != nil {
		return err
	}
	mux := newRoutes()
	s.health.Register(mux)
	if s.options.Platform.TEE == nil {
		openapi.Register(mux)
	}
	s.main = newGate(mux, s.health)
	l, err := s.listen("server", wire.PortHealth, func() string { return address(s.cfg.Server.ListenAddress, s.cfg.Server.ListenPort) })
	if err != nil {
		return err
	}
	drain := earlyDrain
	if s.cfg != nil {
		drain = s.cfg.Server.DrainTimeout
	}
	s.stopMain, err = s.serve("main", l, s.main, nil, drain)
	if err != nil {
		return err
	}
	l, err = s.listen("metrics", wire.PortMetrics, func() string { return address(s.cfg.Metrics.ListenAddress, s.cfg.Metrics.ListenPort) })
	if err != nil {
		return err
	}
	metrics := newRoutes()
	metrics.HandleFunc("GET /metrics", telemetry.Handler(s.registry).ServeHTTP)
	s.log.Debug("routes of the metrics listener", metrics.field())
	_, err = s.serve("metrics", l, metrics.handler(), nil, earlyDrain)
	return err
}

// listen binds a vsock port in an enclave, and the TCP address of a configuration section elsewhere.
func (s *signer) listen(section string, port uint32, tcp func() string) (net.Listener, error) {
	if tee := s.options.Platform.TEE; tee != nil {
		return tee.Network.Listen(port)
	}
	at := tcp()
	network := "tcp"
	if a, err := netip.ParseAddrPort(at); err == nil && a.Addr().Is4() {
		network = "tcp4" // package net would bind 0.0.0.0 on IPv6 too, where an IPv4 firewall does not look
	}
	l, err := net.Listen(network, at)
	if err != nil {
		return nil, fmt.Errorf("%s.listen_port: %w", section, err)
	}
	return l, nil
}

func address(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

func (s *signer) serve(name string, l net.Listener, h http.Handler, secured *tls.Config, drain time.Duration) (stop func() error, err error) {
	server, err := api.NewServer(name, l, h, secured, drain, s.limits, s.log.Named("http"))
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s.log.Info("listening", zap.String("listener", name), zap.Stringer("address", l.Addr()))
	return s.house.start(name+" listener", server.Run), nil
}

func (s *signer) openSlashing(ctx context.Context) error {
	s.backends = s.options.Platform.backends(s.relayed)
	open, err := s.slashingBackend(ctx)
	if err != nil {
		return err
	}
	store, err := open(ctx, s.cfg.AntiSlashing, s.dial())
	if err != nil {
		return err
	}
	s.house.onStop("slashing store", store.Close)
	if ledger, ok := store.(slashing.Ledger); ok { // noop keeps nothing
		s.ledger = ledger
		if err := s.pin(ctx); err != nil {
			return err
		}
	}
	s.guard = slashing.NewGuard(store, s.cfg.AntiSlashing.WriteTimeout)
	if s.cfg.AntiSlashing.UnknownKeys == "refuse" {
		s.guard.RefuseUnknown()
	}
	return s.guard.Check(ctx)
}

// pin binds the store to the network, so that a second signer of another network cannot share it.
func (s *signer) pin(ctx context.Context) error {
	network, err := NetworkOf(s.cfg)
	if err != nil {
		return err
	}
	if err := s.ledger.Pin(ctx, network.ValidatorsRoot); err != nil {
		return err
	}
	id, err := s.ledger.Identify(ctx)
	if err != nil {
		return err
	}
	s.log.Info("slashing store", zap.String("backend", s.cfg.AntiSlashing.Backend), zap.String("store_id", id.ID), zap.String("network", network.Name))
	return nil
}

// loadKeys goes on without the keys that cannot be read: the others have duties too.
func (s *signer) loadKeys(ctx context.Context) error {
	var err error
	if s.keys, err = newKeys(s.cfg.KeySources.Filesystem, s.log.Named("keystore"), s.registry); err != nil {
		return err
	}
	s.keys.bar, s.keys.mayBeEmpty = s.options.Bar, s.cfg.HTTP.KeyManagerAPI.Enabled
	if err := s.openStored(ctx); err != nil {
		return err
	}
	s.intake = intake.New(s.stored, s.keys.memory)
	if err := s.keys.start(ctx); err != nil {
		return err
	}
	s.house.onStop("keys", func() error { s.keys.store.Wipe(); return nil }) // after they are there: at once, if the process has ended meanwhile
	return nil
}

// openCertificate makes what the TLS listener serves. An attested certificate is issued here, so that one exists before anybody can
// connect.
func (s *signer) openCertificate(ctx context.Context) error {
	switch s.cfg.TLS.Mode {
	case "atls":
		a, err := certs.NewAttested(s.device, certs.AttestedOptions{
			Validity: s.cfg.TLS.ATLS.CertValidity, Rotation: s.cfg.TLS.ATLS.RotationInterval,
			ConfigDigest: s.digest, Build: wire.Release, Roots: s.roots,
			Log: s.log.Named("certs"), Metrics: s.registry,
		})
		if err != nil {
			return err
		}
		if err := issueFirst(ctx, a); err != nil {
			return err
		}
		s.certs, s.attested = a, a
	case "file":
		f, err := certs.NewFile(certs.FileOptions{
			CertPath: s.cfg.TLS.File.CertPath, KeyPath: s.cfg.TLS.File.KeyPath,
			Reload: s.cfg.TLS.File.ReloadInterval,
			Log:    s.log.Named("certs"), Metrics: s.registry,
		})
		if err != nil {
			return err
		}
		s.certs = f
	default:
		return nil
	}
	s.house.start("certificates", s.certs.Run)
	return nil
}

// issueFirst waits for evidence that lives long enough to be of use: the hypervisor renews a leaf that is about to end.
func issueFirst(ctx context.Context, a *certs.Attested) error {
	tick := time.NewTicker(shortLivedPause)
	defer tick.Stop()
	for {
		err := a.Issue(ctx)
		if !errors.Is(err, certs.ErrShortLived) {
			return err
		}
		boot.Retrying(ctx, err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}
