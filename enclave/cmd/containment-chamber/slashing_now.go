package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/app"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
)

// clockMargin is how many epochs heights are ahead of this machine's clock at least: a signer signs an epoch ahead of its own unless it
// is told otherwise.
const clockMargin = 1

// heights are the last slot of an epoch, and that epoch.
type heights struct {
	slot, epoch uint64
}

// heightsAhead are those of the epoch that is some epochs after the one of a time.
func heightsAhead(n *eth2.Network, now time.Time, epochs uint64) (heights, error) {
	current, ok := n.EpochAt(now)
	switch {
	case !ok:
		return heights{}, errors.New("custom_network.genesis_time is not set, so that the epoch is not known; give the heights")
	case now.Before(time.Unix(int64(n.GenesisTime), 0)):
		return heights{}, fmt.Errorf("by this machine's clock, which says %s, network %s has not begun; set the clock or give the heights",
			now.UTC().Format(time.RFC3339), n.Name)
	}
	epoch := current + epochs
	return heights{slot: (epoch+1)*n.SlotsPerEpoch - 1, epoch: epoch}, nil
}

// toNowFlag is --to-now: heights by the clock and the configured network, in place of heights that are given.
type toNowFlag struct {
	set      *bool
	excludes []string
}

func newToNowFlag(cmd *cobra.Command, usage string, excludes ...string) toNowFlag {
	return toNowFlag{cmd.Flags().Bool("to-now", false, usage), excludes}
}

// check is called before the target is found.
func (f toNowFlag) check(cmd *cobra.Command) error {
	if !*f.set {
		return nil
	}
	for _, name := range f.excludes {
		if cmd.Flags().Changed(name) {
			return usageError{fmt.Errorf("--to-now goes without --%s", name)}
		}
	}
	if cmd.Flags().Changed("signer-url") {
		return usageError{errors.New("--to-now goes with -c, whose network says what epoch it is; through a signer give the heights")}
	}
	return nil
}

// heights are those some epochs ahead of the clock.
func (f toNowFlag) heights(cfg *config.Config, epochs uint64) (heights, error) {
	network, err := app.NetworkOf(cfg)
	if err != nil {
		return heights{}, usageError{err}
	}
	h, err := heightsAhead(network, time.Now(), epochs)
	if err != nil {
		return heights{}, usageError{fmt.Errorf("--to-now: %w", err)}
	}
	return h, nil
}
