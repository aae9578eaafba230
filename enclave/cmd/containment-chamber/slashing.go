package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/app"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

// newSlashingCommand makes "slashing", which works on the store itself, without a signer.
func newSlashingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "slashing",
		Short: "Import, export, show and raise what the slashing protection store has on record",
		Long: `Import, export, show and raise what the slashing protection store has on record.

All of it works on the store that the configuration names, not through a signer. Nothing lowers a record.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSlashingImport(), newSlashingExport(), newSlashingStatus(), newSlashingRaise(), newSlashingMigrate())
	return cmd
}

// protection is an open store that belongs to the configured network, or to none yet.
type protection struct {
	slashing.Ledger

	identity slashing.Identity
	network  *eth2.Network
}

// withProtection opens the configured store for f. Unless create is set, the store must be there already, and its schema stays as
// it is: a store that is made by looking at it would hide that the configuration names the wrong one.
func withProtection(ctx context.Context, cfg *config.Config, create bool, f func(protection) error) (err error) {
	network, err := app.NetworkOf(cfg)
	if err != nil {
		return usageError{err}
	}
	settings := cfg.AntiSlashing
	if !create {
		settings.Migrate = "check"
		if _, err := os.Stat(settings.SQLite.Path); err != nil && settings.Backend == "sqlite" {
			return fmt.Errorf("slashing database: %w", err)
		}
	}
	open, ok := platform(cfg).Stores[settings.Backend]
	if !ok {
		return usageError{fmt.Errorf("anti_slashing.backend: this binary has no %s store on tee.platform %s", settings.Backend, cfg.TEE.Platform)}
	}
	store, err := open(ctx, settings, egress.Direct())
	if errors.Is(err, sqlite.ErrInUse) {
		return fmt.Errorf("%w; stop the signer first", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	ledger, ok := store.(slashing.Ledger)
	if !ok {
		return usageError{fmt.Errorf("anti_slashing.backend: %s keeps no record", settings.Backend)}
	}
	p := protection{Ledger: ledger, network: network}
	if p.identity, err = ledger.Identify(ctx); err != nil {
		return fmt.Errorf("identify the store: %w", err)
	}
	if p.identity.Pinned && p.identity.ValidatorsRoot != network.ValidatorsRoot {
		return fmt.Errorf("%w: its genesis validators root is %s, that of network %s is %s",
			slashing.ErrNetwork, rootText(p.identity.ValidatorsRoot), network.Name, rootText(network.ValidatorsRoot))
	}
	return f(p)
}

func rootText(root eth2.Root) string { return "0x" + hex.EncodeToString(root[:]) }
