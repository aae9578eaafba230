package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/api/health"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/auth"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/boot"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/certs"
	consensus "github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/keystore/filesystem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/signing"
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
	mux := http.NewServeMux()
	s.health.Register(mux)
	if s.options.Platform.TEE == nil {
		mux.Handle("/", s.main)
	}
	l, err := s.listen("server", wire.PortHealth, func() string { return address(s.cfg.Server.ListenAddress, s.cfg.Server.ListenPort) })
	if err != nil {
		return err
	}
	drain := earlyDrain
	if s.cfg != nil {
		drain = s.cfg.Server.DrainTimeout
	}
	s.stopMain, err = s.serve("main", l, api.Routes(mux), nil, drain)
	if err != nil {
		return err
	}
	l, err = s.listen("metrics", wire.PortMetrics, func() string { return address(s.cfg.Metrics.ListenAddress, s.cfg.Metrics.ListenPort) })
	if err != nil {
		return err
	}
	metrics := http.NewServeMux()
	metrics.Handle("GET /metrics", telemetry.Handler(s.registry))
	_, err = s.serve("metrics", l, metrics, nil, earlyDrain)
	return err
}

// listen binds a vsock port in an enclave, and the TCP address of a configuration section elsewhere.
func (s *signer) listen(section string, port uint32, tcp func() string) (net.Listener, error) {
	if tee := s.options.Platform.TEE; tee != nil {
		return tee.Network.Listen(port)
	}
	l, err := net.Listen("tcp", tcp())
	if err != nil {
		return nil, fmt.Errorf("%s.listen_port: %w", section, err)
	}
	return l, nil
}

func address(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

func (s *signer) serve(name string, l net.Listener, h http.Handler, secured *tls.Config, drain time.Duration) (stop func() error, err error) {
	server, err := api.NewServer(name, l, h, secured, drain, s.log.Named("http"))
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s.log.Info("listening", zap.String("listener", name), zap.Stringer("address", l.Addr()))
	return s.house.start(name+" listener", server.Run), nil
}

func (s *signer) openSlashing(ctx context.Context) error {
	if s.cfg.SignerState.Backend != "" {
		return fmt.Errorf("signer_state.backend: this binary has no %s signer state", s.cfg.SignerState.Backend)
	}
	store, err := s.options.Platform.openStore(ctx, s.cfg.AntiSlashing)
	if err != nil {
		return err
	}
	s.house.onStop("slashing store", store.Close)
	s.guard = slashing.NewGuard(store, s.cfg.AntiSlashing.WriteTimeout)
	return s.guard.Check(ctx)
}

// loadKeys goes on without the keys that cannot be read, and says which: the others have duties too.
func (s *signer) loadKeys(ctx context.Context) error {
	s.keys = keystore.New()
	log := s.log.Named("keystore")
	began := time.Now()
	loaded, skipped, err := filesystem.Load(ctx, filesystem.Options{
		Paths:               s.cfg.KeySources.Filesystem.Paths,
		KeystoreConcurrency: s.cfg.KeySources.Filesystem.KeystoreLoadConcurrency,
		RawConcurrency:      s.cfg.KeySources.Filesystem.RawLoadConcurrency,
	})
	if err != nil {
		return err
	}
	for _, e := range skipped {
		log.Error("key not loaded", zap.Error(e))
	}
	s.skipped = len(skipped)
	s.keys.Replace(keystore.Filesystem, loaded)
	s.house.onStop("keys", func() error { s.keys.Wipe(); return nil }) // after they are there: at once, if the process has ended meanwhile
	if err := s.countKeys(); err != nil {
		return err
	}
	log.Info("keys loaded", zap.Int("keys", len(loaded)), zap.Int("errors", len(skipped)), zap.Duration("took", time.Since(began)))
	return nil
}

// countKeys shows how many keys each source has.
func (s *signer) countKeys() error {
	for _, source := range keystore.Sources() {
		gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "containment_keys_active", Help: "Keys that can sign, by source.",
			ConstLabels: prometheus.Labels{"source": source.String()},
		}, func() float64 { return float64(s.keys.Count(source)) })
		if err := s.registry.Register(gauge); err != nil {
			return fmt.Errorf("register containment_keys_active: %w", err)
		}
	}
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
		s.certs = a
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

// openListeners opens the API: from here on signatures leave.
func (s *signer) openListeners(context.Context) error {
	network, err := consensus.NetworkByName(s.cfg.Network)
	if err != nil {
		return err
	}
	s.signing, err = signing.New(signing.Options{
		Network: network, Keys: s.keys, Guard: s.guard,
		Concurrency: s.cfg.Signing.ConcurrencyLimit, Wait: s.cfg.Signing.Wait, Registry: s.registry,
	})
	if err != nil {
		return err
	}
	s.house.onStop("signing", func() error { s.signing.Stop(); return nil })
	duties, err := eth2.New(eth2.Deps{
		Network: network, Policies: auth.Open(), Signer: s.signing, Keys: s.keys,
		Log: s.log.Named("eth2"), Registry: s.registry,
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	duties.Register(mux)
	s.health.SetChecks(s.checks())
	if s.certs != nil {
		s.health.Register(mux)
		l, err := s.listen("tls", wire.PortAPI, func() string { return address(s.cfg.Server.ListenAddress, s.cfg.TLS.ListenPort) })
		if err != nil {
			return err
		}
		if _, err := s.serve("tls", l, api.Routes(mux), s.certs.ServerConfig(), s.cfg.Server.DrainTimeout); err != nil {
			return err
		}
	}
	if s.options.Platform.TEE == nil { // it started first, to be probed, but it carries requests too: those end before signing does
		s.main.open(api.Routes(mux)) // last: nothing is signed by a start that fails
		s.house.onStop("main listener", s.stopMain)
	}
	return nil
}

// checks are what /healthcheck and /readyz ask.
func (s *signer) checks() []health.Check {
	all := []health.Check{
		{ID: "keys", Replica: true, Probe: s.probeKeys},
		{ID: "slashing-protection", Probe: func(ctx context.Context) (map[string]any, error) {
			return map[string]any{"backend": s.cfg.AntiSlashing.Backend}, s.guard.Check(ctx)
		}},
	}
	if s.certs != nil {
		all = append(all, health.Check{ID: "certificate", Replica: true, Probe: func(context.Context) (map[string]any, error) {
			return map[string]any{"mode": s.cfg.TLS.Mode}, s.certs.Healthy()
		}})
	}
	return all
}

func (s *signer) probeKeys(context.Context) (map[string]any, error) {
	n := len(s.keys.PublicKeys())
	data := map[string]any{"keys-loaded": n, "error-count": s.skipped}
	switch {
	case n > 0:
		return data, nil
	case s.skipped > 0:
		return data, errors.New("no key could be loaded; the log names each file and the reason")
	}
	return data, errors.New("no key is loaded; is a directory of key_sources.filesystem.paths empty, or not mounted?")
}
