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
	writer    *writer
	knownOnly bool
}

// NewGuard makes a guard over a store, which stays the caller's to close. limit bounds one write. A vote waits at most for one
// other write before its own begins, unless votes of the same key are before it.
func NewGuard(store Store, limit time.Duration) *Guard {
	return &Guard{writer: &writer{
		store: store, limit: limit, wrote: func(int, time.Duration, error) {},
		memory: memory{last: make(map[record]Vote)},
	}}
}

// OnWrite has f told of each write to the store: how many votes shared it, how long it took, and why it failed, or nil. It is set
// before the guard is used, and f must not wait.
func (g *Guard) OnWrite(f func(votes int, took time.Duration, err error)) { g.writer.wrote = f }

// RefuseUnknown has votes refused whose key the store has no record of. It is called before the guard is used.
func (g *Guard) RefuseUnknown() { g.knownOnly = true }

// Check returns nil if votes can be recorded now, and else why not: an ErrContradicted until the process ends, once there was one.
func (g *Guard) Check(ctx context.Context) error {
	return errors.Join(g.writer.contradicted(), g.writer.store.Check(ctx))
}

// Permit allows the key to sign the request, once, and first puts on record what can be slashed. The vote may be
// on record even if Permit fails; nothing may then be signed, and asking again is safe.
//
// The error is a problem.Slashable with the rule's reason, wrapping ErrRefused or ErrUnknownKey; a problem.StoreUnavailable, wrapping
// ErrUnavailable, ErrOutcomeUnknown or ErrContradicted; or a problem.Overloaded if ctx leaves less time than one write may take.
func (g *Guard) Permit(ctx context.Context, key bls.PublicKey, req eth2.Request) (Permit, error) {
	var permit [1]Permit
	var err [1]error
	g.permit(ctx, []bls.PublicKey{key}, req, permit[:], err[:])
	return permit[0], err[0]
}

// PermitAll is Permit for many keys, in their order, that may share one write. For each key either the permit or the error is set.
func (g *Guard) PermitAll(ctx context.Context, keys []bls.PublicKey, req eth2.Request) ([]Permit, []error) {
	permits, errs := make([]Permit, len(keys)), make([]error, len(keys))
	g.permit(ctx, keys, req, permits, errs)
	return permits, errs
}

func (g *Guard) permit(ctx context.Context, keys []bls.PublicKey, req eth2.Request, permits []Permit, errs []error) {
	switch r := req.(type) { // exhaustive: the set of requests is closed
	case *eth2.AttestationRequest:
		g.record(ctx, keys, Attestation{Source: r.Source, Target: r.Target, Root: r.SigningRoot()}, r.SigningRoot(), permits, errs)
	case *eth2.BlockRequest:
		g.record(ctx, keys, Block{Slot: r.Slot, Root: r.SigningRoot()}, r.SigningRoot(), permits, errs)
	case *eth2.DutyRequest:
		for i, key := range keys {
			permits[i], errs[i] = g.Exempt(key, r)
		}
	default:
		for i := range keys {
			errs[i] = fmt.Errorf("no slashing rule for a %T", req)
		}
	}
}

// Exempt allows the key to sign, once and without a record, a duty whose kind no slashing condition knows.
func (g *Guard) Exempt(key bls.PublicKey, req *eth2.DutyRequest) (Permit, error) {
	switch req.Kind() {
	case eth2.AggregationSlot, eth2.AggregateAndProof, eth2.Deposit, eth2.RandaoReveal, eth2.VoluntaryExit,
		eth2.SyncCommitteeMessage, eth2.SyncCommitteeSelectionProof, eth2.SyncCommitteeContributionAndProof,
		eth2.ValidatorRegistration, eth2.ExecutionPayloadBid, eth2.ExecutionPayloadEnvelope,
		eth2.PayloadAttestationMessage, eth2.ProposerPreferences, eth2.BuilderRequestAuth:
		return newPermit(key, req.SigningRoot()), nil
	case eth2.Attestation, eth2.Block:
	}
	return Permit{}, fmt.Errorf("a request of kind %s is not exempt from slashing protection", req.Kind())
}

// record is the only way from a vote to a permit.
func (g *Guard) record(ctx context.Context, keys []bls.PublicKey, vote Vote, root eth2.Root, permits []Permit, errs []error) {
	if err := g.hopeless(ctx, vote); err != nil {
		for i := range keys {
			errs[i] = err
		}
		return
	}
	claims := make([]Claim, len(keys))
	for i, key := range keys {
		claims[i] = Claim{Key: key, Vote: vote, KnownOnly: g.knownOnly}
	}
	for i, t := range g.writer.submit(ctx, claims...) {
		<-t.done
		if errs[i] = t.refusal(); errs[i] == nil {
			permits[i] = newPermit(keys[i], root)
		}
	}
}

// hopeless refuses what need not trouble the store: what no record can make right, and what nobody would wait for.
func (g *Guard) hopeless(ctx context.Context, vote Vote) error {
	if v := Judge(nil, vote); !v.Allowed() {
		return problem.Wrap(problem.Slashable, ErrRefused, v.Reason())
	}
	return g.writer.late(ctx)
}

// refusal is nil if the claim, and no other, is what stands on record.
func (t *ticket) refusal() error {
	switch {
	case t.err != nil:
		return t.err
	case t.outcome.Err != nil:
		return unrecorded(t.outcome.Err)
	case t.outcome.Permits(t.claim.Vote):
		return nil
	}
	v := Judge(t.outcome.Standing, t.claim.Vote)
	switch {
	case !v.Allowed():
		return problem.Wrap(problem.Slashable, ErrRefused, v.Reason())
	case t.outcome.Above != nil:
		return problem.Wrap(problem.Slashable, ErrRefused, t.outcome.Above.Judge(t.claim.Vote).Reason())
	case t.claim.KnownOnly && t.outcome.Standing == nil:
		return problem.Wrap(problem.Slashable, ErrUnknownKey, "the slashing protection store has no record of this key, and "+
			"anti_slashing.unknown_keys is refuse: import its history, or for a key that has never signed run containment-chamber slashing init --key "+
			t.claim.Key.String())
	}
	return unrecorded(errors.New("the store did not record a vote that the rule allows"))
}

// unrecorded is the answer to a write that failed. An error that does not say that nothing was stored is taken for
// the worse case.
func unrecorded(err error) error {
	if errors.Is(err, ErrContradicted) {
		return problem.Wrap(problem.StoreUnavailable, err,
			"the slashing protection store has lost votes that were recorded; this process signs nothing slashable any more; raise the records before it is restarted")
	}
	if errors.Is(err, ErrUnavailable) {
		return problem.Wrap(problem.StoreUnavailable, err, "the slashing protection store is unavailable; nothing was recorded")
	}
	if !errors.Is(err, ErrOutcomeUnknown) {
		err = fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return problem.Wrap(problem.StoreUnavailable, err,
		"the slashing protection store did not say whether the vote was recorded; only the identical request may be sent again")
}
