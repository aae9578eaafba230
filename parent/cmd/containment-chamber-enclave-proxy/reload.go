package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/config"
)

// reloader is the part that loads the configuration again at SIGHUP. A configuration with a fault changes nothing.
type reloader struct {
	log     *zap.Logger
	load    func() (*config.Config, error)
	running *config.Config
	apply   func(context.Context, *config.Config)
	hangups chan os.Signal
}

// Name implements part.
func (*reloader) Name() string { return "reload" }

// Bind has SIGHUP, which would end the process, wait for Run.
func (r *reloader) Bind() error {
	r.hangups = make(chan os.Signal, 1)
	signal.Notify(r.hangups, syscall.SIGHUP)
	return nil
}

// Release implements part.
func (r *reloader) Release() { signal.Stop(r.hangups) }

// Run implements part. After it a SIGHUP does nothing, rather than end a process that drains.
func (r *reloader) Run(ctx, _ context.Context) error {
	for {
		select {
		case <-r.hangups:
			r.reload(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *reloader) reload(ctx context.Context) {
	cfg, err := r.load()
	if err != nil {
		r.log.Error("SIGHUP: the configuration has a fault; the one in use stays", zap.Error(err))
		return
	}
	if keys := r.running.NeedRestart(cfg); len(keys) > 0 {
		r.log.Warn("SIGHUP: some settings change with a restart of the parent alone", zap.Strings("settings", keys))
	}
	r.apply(ctx, cfg)
	r.log.Info("SIGHUP: configuration loaded; an enclave that runs keeps the one it was given", zap.Int("routes", len(cfg.Routes)))
}
