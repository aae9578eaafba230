package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/boot"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/nsm"
)

// Deadlines of the stages. They are far above what a healthy machine needs, and end a start that would hang.
const (
	quickLimit = 10 * time.Second
	nsmLimit   = 30 * time.Second // one request may wait behind the kernel's own
	bootLimit  = time.Minute      // the parent may start after the enclave
	storeLimit = time.Minute      // a database may be failing over
	keysLimit  = 12 * time.Hour   // scrypt keystores take a CPU second or two each, and there may be 30,000 on two CPUs
	certLimit  = 20 * time.Minute // a leaf about to end is renewed by the hypervisor within 15 minutes
)

// stages is the start in its order.
func (s *signer) stages() []boot.Stage {
	stages := []boot.Stage{{Name: "hardening", Limit: quickLimit, Run: s.harden}}
	if s.options.Platform.TEE != nil {
		stages = append(stages, s.enclaveStages()...)
	}
	return append(stages,
		boot.Stage{Name: "slashing", Limit: storeLimit, Run: s.openSlashing},
		boot.Stage{Name: "chamber", Limit: storeLimit, Run: s.openChamber},
		boot.Stage{Name: "access", Limit: quickLimit, Run: s.openAccess},
		boot.Stage{Name: "keys", Limit: keysLimit, Run: s.loadKeys},
		boot.Stage{Name: "certificate", Limit: certLimit, Run: s.openCertificate},
		boot.Stage{Name: "listeners", Limit: quickLimit, Run: s.openListeners},
	)
}

// enclaveStages bring an enclave to its configuration. Nothing that came from the parent is used before it is measured.
func (s *signer) enclaveStages() []boot.Stage {
	return []boot.Stage{
		{Name: "nsm", Limit: nsmLimit, Run: s.openNSM},
		{Name: "entropy", Limit: nsmLimit, Run: s.mixEntropy},
		{Name: "configuration", Limit: bootLimit, Run: s.fetchConfiguration},
		{Name: "parse", Limit: quickLimit, Run: s.parseConfiguration},
		{Name: "measurement", Limit: nsmLimit, Run: s.measureConfiguration},
		{Name: "logs", Limit: quickLimit, Run: s.shipLogs},
		{Name: "egress", Limit: quickLimit, Run: s.openEgress},
		{Name: "clock", Limit: nsmLimit, Run: s.checkClock},
	}
}

// harden keeps what is in memory out of core dumps and swap, and sets up what the init of an enclave image leaves undone.
func (s *signer) harden(context.Context) error {
	warnings, err := boot.Harden()
	for _, w := range warnings {
		s.log.Warn("hardening", zap.Error(w))
	}
	if err != nil || !s.inEnclave() {
		return err
	}
	return boot.LoopbackUp()
}

func (s *signer) inEnclave() bool {
	return s.options.Platform.TEE != nil && s.options.Platform.TEE.Host
}

func (s *signer) openNSM(ctx context.Context) error {
	session, roots, err := s.options.Platform.TEE.OpenNSM()
	if err != nil {
		return err
	}
	s.device, s.roots = nsm.New(session), roots
	s.house.start("nsm", s.device.Run)
	d, err := s.device.Describe(ctx)
	if err != nil {
		return err
	}
	s.logs.SetEnclaveID(d.ModuleID)
	return nil
}

// mixEntropy is for real enclaves: elsewhere the kernel's entropy is not ours to judge.
func (s *signer) mixEntropy(ctx context.Context) error {
	if !s.inEnclave() {
		return nil
	}
	return boot.MixEntropy(ctx, s.device)
}

func (s *signer) fetchConfiguration(ctx context.Context) error {
	session, yaml, err := boot.Fetch(ctx, s.options.Platform.TEE.Network, s.log.Named("boot"))
	if err != nil {
		return err
	}
	s.session, s.yaml = session, yaml
	s.house.onStop("boot session", session.Close)
	return nil
}

// parseConfiguration treats what came as hostile. The parent is told of a refusal, because logs are not shipped yet.
func (s *signer) parseConfiguration(context.Context) error {
	cfg, err := config.LoadBytes(s.yaml)
	if err == nil && cfg.TEE.Platform != s.options.Platform.Name {
		err = fmt.Errorf("tee.platform is %s, this process runs on %s", cfg.TEE.Platform, s.options.Platform.Name)
	}
	if err != nil {
		err = fmt.Errorf("configuration from the parent: %w", err)
		return errors.Join(err, s.session.Refuse(err.Error()))
	}
	s.cfg = cfg
	s.logs.SetLevel(levelOf(cfg.Log.Level))
	s.logs.SetBufferLines(cfg.Log.BufferLines)
	s.warn()
	return nil
}

// warn says what the configuration allows and an operator should know.
func (s *signer) warn() {
	for _, w := range s.cfg.Warnings() {
		s.log.Warn(w)
	}
}

// measureConfiguration makes what the parent said part of every attestation document.
func (s *signer) measureConfiguration(ctx context.Context) error {
	digest := s.cfg.Digest()
	if err := boot.MeasureConfiguration(ctx, s.device, digest); err != nil {
		return err
	}
	s.digest = digest
	if err := s.session.Acknowledge(ctx, digest); err != nil {
		// The register is locked, so that the configuration holds whatever the parent heard: the heartbeat, on a new connection, tells it.
		s.log.Warn("the parent may not have heard of the acknowledgement", zap.Error(errors.Join(err, s.session.Close())))
	}
	s.log.Info("configuration measured", zap.String("attestation_config_digest", fmt.Sprintf("%x", digest)))
	s.session.Draining = s.health.SetParentDraining
	s.house.start("heartbeat", s.session.Run)
	return nil
}

func (s *signer) shipLogs(context.Context) error {
	s.yard.start("logs", s.logs.Run)
	return nil
}

func (s *signer) openEgress(context.Context) error {
	routes := s.cfg.TEE.Routes()
	dialer, err := egress.New(routes, s.options.Platform.TEE.Network, egressLimits(s.cfg.Parent.Egress), s.registry)
	if err != nil {
		return err
	}
	s.dialer = dialer
	s.log.Info("egress", zap.Int("routes", len(routes)), zap.Bool("forwarders", s.inEnclave()))
	if s.inEnclave() {
		return s.openForwarders()
	}
	return nil
}

func (s *signer) checkClock(ctx context.Context) error {
	offset, err := nsm.CheckClock(ctx, s.device, s.roots, time.Now)
	if err != nil {
		return err
	}
	s.log.Info("clock agrees with the security module", zap.Duration("attestation_clock_offset", offset))
	return nil
}

// levelOf reads a level that the configuration has checked.
func levelOf(name string) zapcore.Level {
	level, err := zapcore.ParseLevel(name)
	if err != nil {
		return zapcore.InfoLevel
	}
	return level
}
