package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/logging"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/systemd"
	"github.com/unforeseen-consequences/containment-chamber/shared/wire"
)

// reloader is the part that loads the configuration again at SIGHUP. One with a fault, or that this process cannot follow, changes nothing.
type reloader struct {
	log     *zap.Logger
	load    func() (*config.Config, error)
	running *config.Config // from the start
	routes  []wire.Route   // of the last one that was loaded
	apply   func(context.Context, *config.Config)
	tell    func(words ...string) // the service manager
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
	r.tell(systemd.Reloading)
	defer r.tell(systemd.Ready)
	cfg, err := r.load()
	if err == nil {
		err = r.running.Contradicts(cfg)
	}
	if err != nil {
		r.log.Error("SIGHUP: the configuration cannot be used; the one in use stays", logging.ConfigurationRefused.Field(), zap.Error(err))
		return
	}
	if keys := r.running.NeedRestart(cfg); len(keys) > 0 {
		r.log.Warn("SIGHUP: some settings change with a restart of the parent alone", zap.Strings("settings", keys))
	}
	r.apply(ctx, cfg)
	opened, closed := missing(cfg.Routes, r.routes), missing(r.routes, cfg.Routes)
	r.routes = cfg.Routes
	if len(opened)+len(closed) > 0 {
		r.log.Info("SIGHUP: routes changed", logging.RoutesChanged.Field(), zap.Strings("opened", opened), zap.Strings("closed", closed))
	}
	r.log.Info("SIGHUP: configuration loaded; an enclave that runs keeps the one it was given", logging.ConfigurationLoaded.Field(), zap.Int("routes", len(cfg.Routes)))
}

// missing names the routes that are not among others as they are; one that was changed counts.
func missing(routes, others []wire.Route) []string {
	var names []string
	for _, r := range routes {
		if !slices.Contains(others, r) {
			names = append(names, r.Name)
		}
	}
	return names
}
