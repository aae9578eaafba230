package slashing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
)

// Guard hands out permits: for what can be slashed, once it is on record. It is safe for concurrent use.
type Guard struct {
	store Store
	limit time.Duration
}

// NewGuard makes a guard over a store, which stays the caller's to close. limit bounds one write.
func NewGuard(store Store, limit time.Duration) *Guard {
	return &Guard{store: store, limit: limit}
}

// WriteLimit is the most time that one write takes.
func (g *Guard) WriteLimit() time.Duration { return g.limit }

// Check returns nil if votes can be recorded now, and else why not.
func (g *Guard) Check(ctx context.Context) error { return g.store.Check(ctx) }

// Permit allows the key to sign the request, once, and first puts on record what can be slashed. The vote may be
// on record even if Permit fails; nothing may then be signed, and asking again is safe.
//
// The error is a problem.Slashable with the rule's reason, wrapping ErrRefused; a problem.StoreUnavailable, wrapping
// ErrUnavailable or ErrOutcomeUnknown; or a problem.Overloaded if ctx leaves less time than one write may take.
func (g *Guard) Permit(ctx context.Context, key bls.PublicKey, req eth2.Request) (Permit, error) {
	switch r := req.(type) { // exhaustive: the set of requests is closed
	case *eth2.AttestationRequest:
		return g.record(ctx, key, Attestation{Source: r.Source, Target: r.Target, Root: r.SigningRoot()}, r.SigningRoot())
	case *eth2.BlockRequest:
		return g.record(ctx, key, Block{Slot: r.Slot, Root: r.SigningRoot()}, r.SigningRoot())
	case *eth2.DutyRequest:
		return g.Exempt(key, r)
	}
	return Permit{}, fmt.Errorf("no slashing rule for a %T", req)
}

// Exempt allows the key to sign, once and without a record, a duty whose kind no slashing condition knows.
func (g *Guard) Exempt(key bls.PublicKey, req *eth2.DutyRequest) (Permit, error) {
	switch req.Kind() {
	case eth2.AggregationSlot, eth2.AggregateAndProof, eth2.Deposit, eth2.RandaoReveal, eth2.VoluntaryExit,
		eth2.SyncCommitteeMessage, eth2.SyncCommitteeSelectionProof, eth2.SyncCommitteeContributionAndProof,
		eth2.ValidatorRegistration:
		return newPermit(key, req.SigningRoot()), nil
	case eth2.Attestation, eth2.Block:
	}
	return Permit{}, fmt.Errorf("a request of kind %s is not exempt from slashing protection", req.Kind())
}

// record is the only way from a vote to a permit.
func (g *Guard) record(ctx context.Context, key bls.PublicKey, vote Vote, root eth2.Root) (Permit, error) {
	// What no record can make right need not trouble the store.
	if v := Judge(nil, vote); !v.Allowed() {
		return Permit{}, problem.Wrap(problem.Slashable, ErrRefused, v.Reason())
	}
	// Nobody would wait for the answer.
	if deadline, ok := ctx.Deadline(); ctx.Err() != nil || ok && time.Until(deadline) < g.limit {
		return Permit{}, problem.New(problem.Overloaded, "too little time is left to record the vote; nothing was recorded")
	}
	// A caller that hangs up from now on must not undo a write that others may share.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.limit)
	defer cancel()
	outcomes, err := g.store.Advance(ctx, []Claim{{Key: key, Vote: vote}}) // from here the vote may be on record
	switch {
	case err != nil:
		return Permit{}, unrecorded(err)
	case len(outcomes) != 1:
		return Permit{}, unrecorded(fmt.Errorf("%d outcomes for one claim", len(outcomes)))
	case outcomes[0].Err != nil:
		return Permit{}, unrecorded(outcomes[0].Err)
	}
	standing := outcomes[0].Standing
	if standing == vote {
		return newPermit(key, root), nil
	}
	v := Judge(standing, vote)
	if v.Allowed() {
		return Permit{}, unrecorded(errors.New("the store did not record a vote that the rule allows"))
	}
	return Permit{}, problem.Wrap(problem.Slashable, ErrRefused, v.Reason())
}

// unrecorded is the answer to a write that failed. An error that does not say that nothing was stored is taken for
// the worse case.
func unrecorded(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return problem.Wrap(problem.StoreUnavailable, err, "the slashing protection store is unavailable; nothing was recorded")
	}
	if !errors.Is(err, ErrOutcomeUnknown) {
		err = fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return problem.Wrap(problem.StoreUnavailable, err,
		"the slashing protection store did not say whether the vote was recorded; only the identical request may be sent again")
}
