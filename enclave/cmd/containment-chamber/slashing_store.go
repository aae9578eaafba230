package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/app"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/config"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/egress"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/sqlite"
)

// openLimit is how long a store may take to be opened. Its server may be there and say nothing.
const openLimit = 30 * time.Second

// withStore opens the configured store for f. Unless create is set, the store must be there already, and its schema stays as it
// is: a store that is made by looking at it would hide that the configuration names the wrong one.
func withStore(ctx context.Context, cfg *config.Config, create bool, f func(*admin.Admin) error) (err error) {
	network, err := app.NetworkOf(cfg)
	if err != nil {
		return usageError{err}
	}
	ledger, err := openLedger(ctx, cfg, create, openLimit)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	return f(admin.New(ledger, network, cfg.AntiSlashing.Backend))
}

func openLedger(ctx context.Context, cfg *config.Config, create bool, limit time.Duration) (slashing.Ledger, error) {
	settings := cfg.AntiSlashing
	if !create {
		settings.Migrate = "check"
		if settings.Backend == "sqlite" {
			if err := there(settings.SQLite.Path); err != nil {
				return nil, fmt.Errorf("slashing database: %w", err)
			}
		}
	}
	// A command runs in no enclave, whatever tee.platform says of the signer.
	open, ok := backends(awsCredentials).Slashing[settings.Backend]
	if !ok {
		return nil, usageError{fmt.Errorf("anti_slashing.backend: this binary has no %s store", settings.Backend)}
	}
	silent := fmt.Errorf("the slashing protection store was not opened within %v", limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, silent)
	defer cancel()
	store, err := open(ctx, settings, egress.Direct())
	switch {
	case errors.Is(err, sqlite.ErrInUse):
		return nil, fmt.Errorf("%w; stop the signer first, or go through it with --signer-url", err)
	case err != nil && context.Cause(ctx) == silent: //nolint:errorlint // this very one
		return nil, fmt.Errorf("%w: %w", silent, err)
	case err != nil:
		return nil, err
	}
	ledger, ok := store.(slashing.Ledger)
	if !ok {
		return nil, errors.Join(usageError{fmt.Errorf("anti_slashing.backend: %s keeps no record", settings.Backend)}, store.Close())
	}
	return ledger, nil
}

// there says that a file is a database and not only a name. SQLite would make one of an empty file.
func there(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Size() == 0 {
		err = fmt.Errorf("%s: the file is empty", path)
	}
	return err
}
