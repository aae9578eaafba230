package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/boot"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/forward"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/health"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/ingress"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/logging"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/logsink"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/resolve"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/vsock/unixvsock"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

func newRunCommand() *cobra.Command {
	var path string
	var sets []string
	cmd := &cobra.Command{
		Use:   "run -c FILE",
		Short: "Run everything that one enclave needs: boot service, log sink, egress and ingress",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return usageError{errors.New("run: no configuration file; want -c FILE")}
			}
			load := func() (*config.Config, error) { return config.Load(path, os.Environ(), sets) }
			cfg, err := load()
			if err != nil {
				return usageError{err}
			}
			outliveOutput()
			b, err := newBase(cmd.OutOrStdout(), cfg.LogLevel)
			if err != nil {
				return err
			}
			return b.speaking(func() error { return runAll(cmd.Context(), cfg, load, b) })
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "the YAML `file` that parent and enclave share")
	cmd.Flags().StringArrayVar(&sets, "set", nil, "override one `key.path=value` of the file and of CONTAINMENT_… variables; may be repeated")
	return cmd
}

// runAll builds the parts of one enclave's parent and runs them until ctx ends. Clients are asked to leave, then let go; egress and boot
// service stay while the enclave finishes what it has, and the log sink longest, because the last lines tell how that went.
//
// At SIGHUP it loads the configuration again.
func runAll(ctx context.Context, cfg *config.Config, load func() (*config.Config, error), b *base) error {
	network := vsockOf(cfg)
	all := newHouse(b, cfg.Drain)
	bootService := boot.New(boot.Config{Network: network, Port: wire.PortBoot, CID: cfg.EnclaveCID, Configuration: cfg.Merged, Getenv: os.Getenv},
		b.log.Named("boot"), b.accept, b.registry)
	logs := logsink.New(logsink.Config{Network: network, Port: wire.PortLogs, CID: cfg.EnclaveCID, MaxLinesPerSecond: cfg.MaxLogLines},
		b.out, b.log.Named("logsink"), b.accept, b.registry)
	routes := egress.NewTable(egressConfig(network, cfg), cfg.Routes, b.log.Named("egress"), b.egress, all.Keep)
	var front []part
	for _, entrance := range []ingress.Entrance{
		{Name: "api", Listen: cfg.API, Port: wire.PortAPI, ProxyProtocol: cfg.ProxyProtocol},
		{Name: "health", Listen: cfg.Health, Port: wire.PortHealth},
		{Name: "metrics", Listen: cfg.Metrics, Port: wire.PortMetrics},
	} {
		front = append(front, ingress.New(entrance, network, cfg.EnclaveCID, forward.Limits(cfg.Ingress), b.log.Named("ingress"), b.forward))
	}
	all.pulse.enclave, all.pulse.stopping = bootService.Ready, ctx.Done()
	all.pulse.alive = func(ctx context.Context) error {
		_ = b.queue.Lost() // under the lock that every line needs
		return routes.Ping(ctx)
	}
	ready := func() error {
		if ctx.Err() != nil {
			return errors.New("stopping")
		}
		return errors.Join(all.Healthy(), bootService.Ready())
	}
	again := reloader{log: b.log.Named("reload"), load: load, running: cfg, routes: cfg.Routes, tell: all.pulse.tell, apply: func(ctx context.Context, cfg *config.Config) {
		bootService.Configure(cfg.Merged)
		routes.Change(ctx, egressConfig(network, cfg), cfg.Routes)
	}}
	all.add(front...)
	all.add(bootService, routes, &again, health.New(cfg.ParentHealth, ready, b.registry, b.log.Named("health")))
	all.add(logs)

	late, release := leaveFor(ctx, cfg.DrainDelay, func() {
		bootService.Drain()
		if cfg.DrainDelay > 0 {
			b.log.Info("asked to stop; clients are asked to leave", zap.Duration("for", cfg.DrainDelay))
		}
	})
	defer release()

	b.log.Info("starting", logging.Starting.Field(), zap.String("version", wire.Release), zap.Bool("simulated", cfg.Simulated), zap.Uint32("enclave_cid", cfg.EnclaveCID), zap.Int("routes", len(cfg.Routes)))
	warnOfFewDescriptors(b.log, descriptorsFor(cfg, len(front)))
	return all.Run(late)
}

// vsockOf is how the enclave is reached.
func vsockOf(cfg *config.Config) vsock.Network {
	if cfg.Simulated {
		return unixvsock.Dir(cfg.SocketDir)
	}
	return vsock.Kernel{}
}

func egressConfig(network vsock.Network, cfg *config.Config) egress.Config {
	return egress.Config{Network: network, CID: cfg.EnclaveCID, Limits: forward.Limits(cfg.Egress), AllowLoopback: cfg.AllowLoopback, Lookup: resolve.Lookup}
}
