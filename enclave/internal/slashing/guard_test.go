package slashing_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/noop"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// vote is a request to sign an attestation; variant makes its root differ.
func vote(source, target uint64, variant byte) *eth2.AttestationRequest {
	return eth2.NewAttestation(eth2.ForkInfo{}, eth2.AttestationData{
		BeaconBlockRoot: eth2.Root{variant},
		Source:          eth2.Checkpoint{Epoch: source},
		Target:          eth2.Checkpoint{Epoch: target},
	})
}

func proposal(slot uint64, variant byte) *eth2.BlockRequest {
	chain := &eth2.Network{SlotsPerEpoch: 32}
	return chain.NewBlock(eth2.ForkInfo{}, eth2.BlockHeader{Slot: slot, BodyRoot: eth2.Root{variant}})
}

// duties are one request of each kind that cannot be slashed.
func duties(t *testing.T) []*eth2.DutyRequest {
	t.Helper()
	chain, err := eth2.NetworkByName("hoodi")
	if err != nil {
		t.Fatal(err)
	}
	f := eth2.ForkInfo{Current: eth2.Version{0x80, 0, 9, 0x10}, ValidatorsRoot: chain.ValidatorsRoot} // Gloas
	must := func(req *eth2.DutyRequest, err error) *eth2.DutyRequest {
		if err != nil {
			t.Fatal(err)
		}
		return req
	}
	list := []*eth2.DutyRequest{
		chain.NewAggregationSlot(f, 5),
		must(chain.NewAggregateAndProof(f, eth2.Aggregate{AggregationBits: []byte{1}, CommitteeBits: new([8]byte)}, nil)),
		eth2.NewDeposit(eth2.DepositMessage{}),
		eth2.NewRandaoReveal(f, 5),
		chain.NewVoluntaryExit(f, eth2.Exit{}, nil),
		chain.NewSyncCommitteeMessage(f, 5, eth2.Root{}),
		chain.NewSyncCommitteeSelectionProof(f, 5, 0),
		chain.NewContributionAndProof(f, eth2.ContributionAndProof{}),
		chain.NewValidatorRegistration(eth2.Registration{}),
		must(chain.NewExecutionPayloadBid(f, eth2.Bid{}, nil)),
		must(chain.NewExecutionPayloadEnvelope(f, eth2.Envelope{}, nil)),
		chain.NewPayloadAttestation(f, eth2.PayloadAttestation{}),
		chain.NewProposerPreferences(f, eth2.Preferences{}),
		must(chain.NewBuilderRequestAuth(eth2.RequestAuth{})),
	}
	kinds := map[eth2.Kind]bool{eth2.Attestation: true, eth2.Block: true}
	for _, duty := range list {
		kinds[duty.Kind()] = true
	}
	if want := int(eth2.BuilderRequestAuth); len(kinds) != want {
		t.Fatalf("%d kinds, want all %d", len(kinds), want)
	}
	return list
}

func newGuard(store slashing.Store) *slashing.Guard { return slashing.NewGuard(store, time.Minute) }

// checkPermit wants a permit for the request, or a problem of a kind with words.
func checkPermit(t *testing.T, g *slashing.Guard, key bls.PublicKey, req eth2.Request, kind problem.Kind, words string) {
	t.Helper()
	permit, err := g.Permit(t.Context(), key, req)
	if words == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
			return
		}
		if root, err := permit.Redeem(key); err != nil || root != req.SigningRoot() {
			t.Errorf("the permit is for %x (%v), want %x", root, err, req.SigningRoot())
		}
		return
	}
	if err == nil {
		t.Errorf("permitted, want %q", words)
		return
	}
	if permit != (slashing.Permit{}) {
		t.Error("an error and a permit")
	}
	if p := problem.Of(err); p.Kind != kind || !strings.Contains(p.Public, words) {
		t.Errorf("%v %q, want %v with %q", p.Kind, p.Public, kind, words)
	}
}

func TestPermit(t *testing.T) {
	store := storetest.NewMemory()
	g := newGuard(store)
	key := bls.PublicKey{1}
	for _, step := range []struct {
		req   eth2.Request
		words string
	}{
		{vote(5, 6, 0), ""},
		{vote(5, 6, 0), ""},
		{vote(5, 6, 1), "double vote: target 6 is not above the last signed target 6"},
		{vote(4, 7, 0), "surrounds the vote source 5 target 6 on record"},
		{vote(8, 7, 0), "source 8 is above target 7"},
		{proposal(9, 0), ""},
		{proposal(9, 1), "double proposal: slot 9 was signed with another root"},
		{proposal(9, 0), ""},
		{proposal(10, 1), ""},
	} {
		checkPermit(t, g, key, step.req, problem.Slashable, step.words)
	}
	_, err := g.Permit(t.Context(), key, vote(0, 0, 0))
	if !errors.Is(err, slashing.ErrRefused) {
		t.Errorf("%v is no ErrRefused", err)
	}
}

func TestExempt(t *testing.T) {
	closed := storetest.NewMemory()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	g := newGuard(closed) // duties do not need the store
	key := bls.PublicKey{1}
	for _, duty := range duties(t) {
		t.Run(duty.Kind().String(), func(t *testing.T) {
			checkPermit(t, g, key, duty, 0, "")
			if _, err := g.Exempt(key, duty); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := g.Exempt(key, &eth2.DutyRequest{}); err == nil || !strings.Contains(err.Error(), "not exempt") {
		t.Errorf("a duty of no kind: %v", err)
	}
	if _, err := g.Permit(t.Context(), key, nil); err == nil || !strings.Contains(err.Error(), "no slashing rule for a <nil>") {
		t.Errorf("no request: %v", err)
	}
}

func TestPermitIsRedeemedOnce(t *testing.T) {
	g := newGuard(noop.Open())
	key := bls.PublicKey{1}
	permit, err := g.Permit(t.Context(), key, vote(1, 2, 3))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := permit.Redeem(bls.PublicKey{2}); !errors.Is(err, slashing.ErrPermitOfAnotherKey) {
		t.Errorf("another key: %v", err)
	}
	var redeemed atomic.Int32
	var wg sync.WaitGroup
	for range 64 {
		same := permit
		wg.Go(func() {
			switch _, err := same.Redeem(key); {
			case err == nil:
				redeemed.Add(1)
			case !errors.Is(err, slashing.ErrPermitUsed):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := redeemed.Load(); n != 1 {
		t.Errorf("redeemed %d times, want once", n)
	}
	if _, err := (slashing.Permit{}).Redeem(bls.PublicKey{}); !errors.Is(err, slashing.ErrNoPermit) {
		t.Errorf("the zero permit: %v", err)
	}
}

// TestLies: what the store says, what it did, and what may be signed afterwards.
func TestLies(t *testing.T) {
	broken := errors.New("connection reset by a test")
	fail := func(cause error) func([]slashing.Outcome, error) ([]slashing.Outcome, error) {
		return func([]slashing.Outcome, error) ([]slashing.Outcome, error) { return nil, cause }
	}
	lie := func(o ...slashing.Outcome) func([]slashing.Outcome, error) ([]slashing.Outcome, error) {
		return func([]slashing.Outcome, error) ([]slashing.Outcome, error) { return o, nil }
	}
	wrapped := func(err error) error { return errors.Join(err, broken) }
	const (
		nothing = "unavailable; nothing was recorded"
		unknown = "did not say whether the vote was recorded"
		double  = "double vote"
	)
	for _, tc := range []struct {
		name      string
		before    error
		after     func([]slashing.Outcome, error) ([]slashing.Outcome, error)
		is        error
		words     string
		kind      problem.Kind
		conflict  string // what a conflicting vote then gets; "" is a permit
		identical string // what the identical vote then gets
	}{
		{"unavailable, not stored", wrapped(slashing.ErrUnavailable), nil, slashing.ErrUnavailable, nothing, problem.StoreUnavailable, "", double},
		{"unknown, not stored", wrapped(slashing.ErrOutcomeUnknown), nil, slashing.ErrOutcomeUnknown, unknown, problem.StoreUnavailable, "", double},
		{"unnamed error, not stored", broken, nil, slashing.ErrOutcomeUnknown, unknown, problem.StoreUnavailable, "", double},
		{"unknown, stored", nil, fail(wrapped(slashing.ErrOutcomeUnknown)), slashing.ErrOutcomeUnknown, unknown, problem.StoreUnavailable, double, ""},
		{"unnamed error, stored", nil, fail(broken), slashing.ErrOutcomeUnknown, unknown, problem.StoreUnavailable, double, ""},
		{"says unavailable, but stored", nil, fail(wrapped(slashing.ErrUnavailable)), slashing.ErrUnavailable, nothing, problem.StoreUnavailable, double, ""},
		{"one claim's error, stored", nil, lie(slashing.Outcome{Err: broken}), slashing.ErrOutcomeUnknown, unknown, problem.StoreUnavailable, double, ""},
		{"no outcome, stored", nil, lie(), slashing.ErrOutcomeUnknown, unknown, problem.StoreUnavailable, double, ""},
		{"two outcomes", nil, lie(slashing.Outcome{}, slashing.Outcome{}), slashing.ErrOutcomeUnknown, unknown, problem.StoreUnavailable, double, ""},
		{"zero outcome, stored", nil, lie(slashing.Outcome{}), slashing.ErrOutcomeUnknown, unknown, problem.StoreUnavailable, double, ""},
		{"an older record, stored", nil, lie(slashing.Outcome{Standing: attestation(1, 2, 3)}), slashing.ErrOutcomeUnknown, unknown, problem.StoreUnavailable, double, ""},
		{"another's record of the height, stored", nil, lie(slashing.Outcome{Standing: attestation(5, 6, 9)}), slashing.ErrRefused, double, problem.Slashable, double, ""},
		{"a record of another kind, stored", nil, lie(slashing.Outcome{Standing: block(6, 0)}), slashing.ErrRefused, "another kind", problem.Slashable, double, ""},
	} {
		for _, restart := range []string{"carry on", "restart"} {
			t.Run(tc.name+", "+restart, func(t *testing.T) {
				memory := storetest.NewMemory()
				liar := &storetest.Liar{Store: memory, After: tc.after}
				if tc.before != nil {
					liar.Before = func(context.Context, []slashing.Claim) error { return tc.before }
				}
				g := newGuard(liar)
				key := bls.PublicKey{1}
				checkPermit(t, g, key, vote(5, 6, 0), tc.kind, tc.words)
				if _, err := g.Permit(t.Context(), key, vote(5, 6, 0)); !errors.Is(err, tc.is) {
					t.Errorf("error %v, want %v", err, tc.is)
				}

				liar.Before, liar.After = nil, nil // the store heals
				if restart == "restart" {
					if err := memory.Close(); err != nil {
						t.Fatal(err)
					}
					memory.Reopen()
					g = newGuard(memory)
				}
				checkPermit(t, g, key, vote(5, 6, 1), problem.Slashable, tc.conflict)
				checkPermit(t, g, key, vote(5, 6, 0), problem.Slashable, tc.identical)
			})
		}
	}
}
