package main

import (
	"syscall"

	"go.uber.org/zap"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/parent/internal/logging"
)

// spareDescriptors are for listeners, log streams, probes and name servers.
const spareDescriptors = 128

// descriptorsFor is how many file descriptors a parent can come to need: two for each connection that it may forward.
func descriptorsFor(cfg *config.Config, entrances int) uint64 {
	connections := entrances*cfg.Ingress.MaxConnections + len(cfg.Routes)*cfg.Egress.MaxConnections
	return uint64(2*connections + spareDescriptors)
}

// warnOfFewDescriptors looks at the limit, which Go has raised to the hard one (package os, since 1.19). Beyond it, connections wait until
// others have ended, whatever the configured limits say.
func warnOfFewDescriptors(log *zap.Logger, needed uint64) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) >= needed { //nolint:unconvert // signed on other systems
		return
	}
	log.Warn("fewer file descriptors are allowed (ulimit -Hn, LimitNOFILE=) than parent.ingress.max_connections and parent.egress.max_connections can need",
		logging.FewDescriptors.Field(), zap.Uint64("allowed", uint64(limit.Cur)), zap.Uint64("needed", needed)) //nolint:unconvert // see above
}
