package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/parent/internal/forward"
)

// alone are the flags of the commands that run one part.
type alone struct {
	cid    uint32
	level  string
	drain  time.Duration
	limits forward.Limits
}

func (a *alone) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&a.level, "log-level", "info", "debug, info, warn or error")
	flags.DurationVar(&a.drain, "drain-timeout", 20*time.Second, "how long open connections may take to end after SIGTERM")
}

func (a *alone) registerCID(cmd *cobra.Command) {
	cmd.Flags().Uint32Var(&a.cid, "enclave-cid", 16, "context `identifier` of the enclave; no other peer is admitted")
}

func (a *alone) registerLimits(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.IntVar(&a.limits.MaxConnections, "max-connections", 1024, "connections open at once; one more is refused")
	flags.DurationVar(&a.limits.ConnectTimeout, "connect-timeout", 10*time.Second, "until a connection attempt is given up")
	flags.DurationVar(&a.limits.HalfOpenTimeout, "half-open-timeout", time.Minute, "without a byte until a connection is closed one direction of which has ended; 0 for no limit")
	flags.DurationVar(&a.limits.IdleTimeout, "idle-timeout", 10*time.Minute, "without a byte until a connection is closed; 0 for no limit")
}

// check refuses limits that would let nothing through.
func (a *alone) check() error {
	switch {
	case a.limits.MaxConnections < 1:
		return fmt.Errorf("--max-connections %d: want at least 1", a.limits.MaxConnections)
	case a.limits.MaxPerSource < 0:
		return fmt.Errorf("--max-connections-per-source %d: want 0 or more", a.limits.MaxPerSource)
	case a.limits.ConnectTimeout <= 0:
		return fmt.Errorf("--connect-timeout %v: want more than 0", a.limits.ConnectTimeout)
	case a.limits.IdleTimeout < 0:
		return fmt.Errorf("--idle-timeout %v: want 0 or more", a.limits.IdleTimeout)
	case a.limits.HalfOpenTimeout < 0:
		return fmt.Errorf("--half-open-timeout %v: want 0 or more", a.limits.HalfOpenTimeout)
	case a.drain < 0:
		return fmt.Errorf("--drain-timeout %v: want 0 or more", a.drain)
	}
	return nil
}

// run runs one part until ctx ends. Lines go to out.
func (a *alone) run(ctx context.Context, out io.Writer, build func(*base) part) error {
	b, err := newBase(out, a.level)
	if err != nil {
		return usageError{fmt.Errorf("--log-level: %w", err)}
	}
	return b.speaking(func() error {
		h := newHouse(b, a.drain)
		h.add(build(b))
		return h.Run(ctx)
	})
}
