// Package noop records no vote and refuses none, for tests of everything but slashing protection.
package noop

import (
	"context"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Warning is what whoever opens the store must log, at each start.
const Warning = "SLASHING PROTECTION IS OFF: anti_slashing.backend is noop, no vote is recorded or refused, and " +
	"validators that sign with this process can be slashed"

// Store permits everything.
type Store struct{}

// Open makes a store that protects nobody.
func Open() Store { return Store{} }

// Advance pretends that every claim is on record.
func (Store) Advance(_ context.Context, claims []slashing.Claim) ([]slashing.Outcome, error) {
	outcomes := make([]slashing.Outcome, len(claims))
	for i, c := range claims {
		outcomes[i].Standing = c.Vote
	}
	return outcomes, nil
}

// Check returns nil.
func (Store) Check(context.Context) error { return nil }

// Close returns nil.
func (Store) Close() error { return nil }
