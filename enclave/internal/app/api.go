package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/health"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/openapi"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/operator"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/reload"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/wellknown"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/signing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// newDuties makes what answers signing requests, and what makes its signatures.
func (s *signer) newDuties() (*eth2.API, error) {
	network, err := NetworkOf(s.cfg)
	if err != nil {
		return nil, err
	}
	canaries, err := publicKeys(s.cfg.Signing.CanaryKeys)
	if err != nil {
		return nil, fmt.Errorf("signing.canary_keys: %w", err)
	}
	o := signing.Options{
		Network: network, Keys: s.keys.store, Guard: s.guard,
		Concurrency: s.cfg.Signing.ConcurrencyLimit, Wait: s.cfg.Signing.Wait,
		MaxFutureEpochs: s.cfg.AntiSlashing.MaxFutureEpochs, Registry: s.registry,
	}
	if s.chamber != nil {
		o.Custody = custody{s.chamber, s.stored}
	}
	s.signing, err = signing.New(o)
	if err != nil {
		return nil, err
	}
	s.house.onStop("signing", func() error { s.signing.Stop(); return nil })
	deps := eth2.Deps{
		Network: network, Signer: s.signing, Keys: s.keys.store,
		Canaries: canaries, Canary: s.keys.store.Canary, Log: s.log.Named("eth2"), Registry: s.registry,
	}
	if s.ledger != nil {
		deps.HighWatermark = s.ledger.HighWatermark
	}
	if s.chamber != nil {
		deps.Missing = custody{s.chamber, s.stored}.listed
	}
	return eth2.New(deps)
}

// openListeners opens the API: from here on signatures leave.
func (s *signer) openListeners(context.Context) error {
	duties, err := s.newDuties()
	if err != nil {
		return err
	}
	s.limits.SetRequests(s.cfg.HTTP.MaxConcurrentRequests)
	s.health.SetChecks(s.checks())
	s.house.start("health", s.health.Run)
	reloads := reload.New(s.keys.reload)
	s.house.start("reload", reloads.Run)
	mux := newRoutes()
	duties.Register(mux)
	if s.cfg.HTTP.Experimental.BatchSign {
		duties.RegisterBatch(mux)
	}
	reloads.Register(mux)
	if err := s.serveSlashing(mux); err != nil {
		return err
	}
	if err := s.serveChamber(mux); err != nil {
		return err
	}
	if err := s.serveKeyManager(mux); err != nil {
		return err
	}
	s.serveDiagnostics(mux)
	s.health.Register(mux)
	operator.New(s.operatorOptions()).Register(mux)
	openapi.Register(mux)
	clear := newRoutes() // what is served in clear beside TLS
	s.health.Register(clear)
	if err := s.serveProofs(mux, clear); err != nil {
		return err
	}
	s.log.Debug("routes of the API", mux.field())
	if s.certs != nil {
		l, err := s.listen("tls", wire.PortAPI, func() string { return address(s.cfg.Server.ListenAddress, s.cfg.TLS.ListenPort) })
		if err != nil {
			return err
		}
		if s.cfg.TLS.ProxyProtocol {
			l = api.Introduced(l)
		}
		if _, err := s.serve("tls", l, mux.handler(), s.secured(), s.cfg.Server.DrainTimeout); err != nil {
			return err
		}
	}
	s.serveMain(mux, clear)
	return nil
}

// serveMain opens the main listener, which has no TLS. It started first, to be probed; if it carries requests too, those end before signing
// does.
func (s *signer) serveMain(all, clear *routes) {
	health, why := s.cfg.PlainHealth()
	if health {
		s.log.Info("the main listener, which has no TLS, serves health alone", zap.String("because", why))
		s.main.open(clear.handler())
		return
	}
	s.log.Info("the main listener, which has no TLS, serves the whole API", zap.String("because", why))
	s.main.open(all.handler()) // last: nothing is signed by a start that fails
	s.house.onStop("main listener", s.stopMain)
}

// secured is the TLS of the API's listener. A client's certificate is asked for and never demanded: policies say whose it is.
func (s *signer) secured() *tls.Config {
	c := s.certs.ServerConfig()
	if s.cfg.Auth.ClientCertificates {
		c.ClientAuth = tls.RequestClientCert
	}
	return c
}

// operatorOptions are what an operator is told of the process.
func (s *signer) operatorOptions() operator.Options {
	o := operator.Options{
		Build: wire.Release, Platform: s.options.Platform.Name, Network: s.cfg.Network, Started: time.Now(),
		Keys: s.keys.counts, Checks: s.checks(), Roots: s.roots,
	}
	if s.attested != nil {
		o.Current = s.attested.Current
	}
	if s.chamber != nil {
		o.Seal = func() operator.Seal { return operator.SealOf(s.chamber.Status()) }
	}
	return o
}

// serveProofs adds the route that tells who this enclave is, with proofs of connections where those are attested.
func (s *signer) serveProofs(secured, clear api.Router) error {
	if s.attested == nil {
		return nil
	}
	proofs, err := wellknown.New(wellknown.Options{
		Attest: func(ctx context.Context, userData, nonce []byte) ([]byte, error) {
			return s.device.Attest(ctx, nsm.Attestation{UserData: userData, Nonce: nonce})
		},
		Current: s.attested.Current, ConfigDigest: s.digest, Build: wire.Release, Registry: s.registry,
	})
	if err != nil {
		return fmt.Errorf("proofs of connections: %w", err)
	}
	proofs.Register(secured)
	proofs.RegisterCurrent(clear)
	return nil
}

// serveSlashing adds the operators' routes to the slashing store, if they are asked for.
func (s *signer) serveSlashing(mux api.Router) error {
	if !s.cfg.AntiSlashing.API {
		return nil
	}
	if s.ledger == nil {
		return fmt.Errorf("anti_slashing.api: anti_slashing.backend %s keeps no record", s.cfg.AntiSlashing.Backend)
	}
	network, err := NetworkOf(s.cfg)
	if err != nil {
		return err
	}
	slashing.New(admin.New(s.ledger, network, s.cfg.AntiSlashing.Backend), s.log.Named("slashing")).Register(mux)
	return nil
}

// checks are what /healthcheck and /readyz ask.
func (s *signer) checks() []health.Check {
	all := []health.Check{
		{ID: "keys", Replica: true, Probe: s.keys.probe},
		{ID: "slashing-protection", Probe: func(ctx context.Context) (map[string]any, error) {
			return map[string]any{"backend": s.cfg.AntiSlashing.Backend}, s.guard.Check(ctx)
		}},
	}
	if s.chamber != nil {
		all = append(all, s.chamberCheck())
	}
	if s.stored != nil {
		all = append(all, s.storedChecks()...)
	}
	if s.certs != nil {
		all = append(all, health.Check{ID: "certificate", Replica: true, Probe: func(context.Context) (map[string]any, error) {
			return map[string]any{"mode": s.cfg.TLS.Mode}, s.certs.Healthy()
		}})
	}
	return all
}

// showHealth is a metric that answers at once, whatever the parts do.
func (s *signer) showHealth() error {
	healthy := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "containment_healthy",
		Help: "1 if all parts were up, as of /healthcheck, when last asked; asked every 10 seconds at least. 0 while starting or stopping, and if a part has not answered for 30 seconds.",
	}, func() float64 {
		if s.health.Healthy() {
			return 1
		}
		return 0
	})
	if err := s.registry.Register(healthy); err != nil {
		return fmt.Errorf("register containment_healthy: %w", err)
	}
	return nil
}

func publicKeys(texts []string) ([]bls.PublicKey, error) {
	keys := make([]bls.PublicKey, len(texts))
	for i, text := range texts {
		var err error
		if keys[i], err = bls.ParsePublicKey(text); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return keys, nil
}
