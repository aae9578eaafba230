// Package admin lets operators see, move, raise and freeze what the slashing protection has on record.
package admin

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// Admin works on one store. It is safe for concurrent use, beside signers too, and nothing that it does lowers a record.
//
// Its errors are of package problem: Malformed for what was given, Forbidden for another network's file or store, StoreUnavailable
// with the store's own error as their cause.
type Admin struct {
	ledger  slashing.Ledger
	network *eth2.Network
	backend string
}

// New makes an Admin over a ledger, which stays the caller's to close, and the network whose votes it holds. backend is the value of
// anti_slashing.backend.
func New(ledger slashing.Ledger, network *eth2.Network, backend string) *Admin {
	return &Admin{ledger: ledger, network: network, backend: backend}
}

// identify says which store it is. One of another network is an error: nothing is to be told of it, or done with it, by mistake.
func (a *Admin) identify(ctx context.Context) (slashing.Identity, error) {
	id, err := a.ledger.Identify(ctx)
	if err != nil {
		return id, unread(fmt.Errorf("identify the store: %w", err))
	}
	if id.Pinned && id.ValidatorsRoot != a.network.ValidatorsRoot {
		return id, foreign(fmt.Errorf("%w: its genesis validators root is %s, that of network %s is %s",
			slashing.ErrNetwork, rootText(id.ValidatorsRoot), a.network.Name, rootText(a.network.ValidatorsRoot)))
	}
	return id, nil
}

// StoreID is the store's identity, 32 hexadecimal digits.
func (a *Admin) StoreID(ctx context.Context) (string, error) {
	id, err := a.identify(ctx)
	return id.ID, err
}

// pin makes the store the network's before anything is put into it.
func (a *Admin) pin(ctx context.Context) error {
	if _, err := a.identify(ctx); err != nil {
		return err
	}
	switch err := a.ledger.Pin(ctx, a.network.ValidatorsRoot); {
	case errors.Is(err, slashing.ErrNetwork):
		return foreign(err)
	case err != nil:
		return undone(fmt.Errorf("pin the network: %w", err))
	}
	return nil
}

// standing is what is on record for the key of each of the records, in their order.
func (a *Admin) standing(ctx context.Context, records []slashing.Record) ([]slashing.Record, error) {
	before, order := make([]slashing.Record, len(records)), make([]int, len(records))
	for i, r := range records {
		before[i].Key, order[i] = r.Key, i
	}
	slices.SortFunc(order, func(i, j int) int { return bytes.Compare(records[i].Key[:], records[j].Key[:]) })
	err := a.each(ctx, func(r slashing.Record) { // in the order of the keys too
		for len(order) > 0 && bytes.Compare(records[order[0]].Key[:], r.Key[:]) < 0 {
			order = order[1:]
		}
		if len(order) > 0 && records[order[0]].Key == r.Key {
			before[order[0]] = r
		}
	})
	return before, err
}

func (a *Admin) each(ctx context.Context, f func(slashing.Record)) error {
	err := a.ledger.Each(ctx, func(r slashing.Record) error {
		f(r)
		return context.Cause(ctx)
	})
	if err != nil {
		return unread(fmt.Errorf("read the store: %w", err))
	}
	return nil
}

func malformed(format string, args ...any) error {
	return problem.New(problem.Malformed, format, args...)
}

// foreign is a refusal because of the network. The whole error is fit for everybody: it names two public roots.
func foreign(err error) error { return problem.New(problem.Forbidden, "%s", err) }

// unread is an error of a store that was only asked.
func unread(err error) error {
	return problem.Wrap(problem.StoreUnavailable, err, "the slashing protection store did not answer")
}

// undone is an error of a store that was to be changed. One that does not say that nothing was stored is taken for the worse case.
func undone(err error) error {
	if errors.Is(err, slashing.ErrUnavailable) {
		return problem.Wrap(problem.StoreUnavailable, err, "the slashing protection store is unavailable; nothing was changed")
	}
	return problem.Wrap(problem.StoreUnavailable, err,
		"the slashing protection store did not say whether it was changed; the same can be asked again")
}

func rootText(root eth2.Root) string { return "0x" + hex.EncodeToString(root[:]) }
