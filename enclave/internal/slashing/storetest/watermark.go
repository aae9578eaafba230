package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// testKnownOnly: a claim that is for known keys alone needs a record of either kind, and goes on as any other then.
func testKnownOnly(t *testing.T, p Place) {
	s := opened(t, p)
	vote, block := slashing.Attestation{Source: 1, Target: 2, Root: eth2.Root{1}}, slashing.Block{Slot: 3, Root: eth2.Root{2}}
	attested, proposed, unknown := bls.PublicKey{1}, bls.PublicKey{2}, bls.PublicKey{3}
	known := func(key bls.PublicKey, v slashing.Vote) slashing.Claim {
		return slashing.Claim{Key: key, Vote: v, KnownOnly: true}
	}
	checkAll(t, s, []slashing.Claim{known(attested, vote), known(attested, block), known(unknown, vote), {Key: proposed, Vote: block}},
		nil, nil, nil, block)
	checkAll(t, s, []slashing.Claim{{Key: attested, Vote: vote}, known(proposed, vote), known(unknown, block)}, vote, vote, nil)
	next, low := slashing.Attestation{Source: 1, Target: 3, Root: eth2.Root{3}}, slashing.Block{Slot: 2}
	checkAll(t, s, []slashing.Claim{known(attested, block), known(attested, next), known(proposed, low), known(unknown, vote)},
		block, next, block, nil)
	checkAll(t, s, []slashing.Claim{known(attested, vote), {Key: unknown, Vote: vote}}, next, vote)
}

func checkAll(t *testing.T, s slashing.Store, claims []slashing.Claim, want ...slashing.Vote) {
	t.Helper()
	outcomes, err := s.Advance(t.Context(), claims)
	if err != nil || len(outcomes) != len(want) {
		t.Fatalf("Advance: %d outcomes, want %d (error %v)", len(outcomes), len(want), err)
	}
	for i, o := range outcomes {
		if o.Err != nil || o.Above != nil || o.Standing != want[i] {
			t.Errorf("claim %d: %+v, want %+v on record", i, o, want[i])
		}
	}
}

// testKnownByMerge: what Merge brings makes a key known, a high watermark alone does not.
func testKnownByMerge(t *testing.T, p Place) {
	l := ledger(t, p)
	merged, limited := bls.PublicKey{1}, bls.PublicKey{2}
	if err := l.Merge(t.Context(), []slashing.Record{{Key: merged, Block: &slashing.Block{RootUnknown: true}}}); err != nil {
		t.Fatal(err)
	}
	setHigh(t, l, []bls.PublicKey{limited}, slashing.HighWatermark{Slot: 90, Epoch: 90})
	vote := slashing.Attestation{Target: 1}
	checkAll(t, l, []slashing.Claim{{Key: merged, Vote: vote, KnownOnly: true}, {Key: limited, Vote: vote, KnownOnly: true}}, vote, nil)
	want := []slashing.Record{{Key: merged, Attestation: &vote, Block: &slashing.Block{RootUnknown: true}}}
	if diff := cmp.Diff(want, all(t, l)); diff != "" {
		t.Error(diff)
	}
}

func setHigh(t *testing.T, l slashing.Ledger, keys []bls.PublicKey, h slashing.HighWatermark) {
	t.Helper()
	if err := l.SetHighWatermark(t.Context(), keys, h); err != nil {
		t.Fatal(err)
	}
}

// testHighWatermark: nothing above it is permitted, up to it everything is; a key's own and that of all keys both count.
func testHighWatermark(t *testing.T, p Place) {
	l := ledger(t, p)
	one, other := bls.PublicKey{1}, bls.PublicKey{2}
	a := func(target uint64) slashing.Attestation {
		return slashing.Attestation{Target: target, Root: eth2.Root{byte(target)}}
	}
	b := func(slot uint64) slashing.Block { return slashing.Block{Slot: slot, Root: eth2.Root{byte(slot)}} }
	above := func(key bls.PublicKey, v slashing.Vote, high slashing.HighWatermark) {
		t.Helper()
		outcomes, err := l.Advance(t.Context(), []slashing.Claim{{Key: key, Vote: v}})
		if err != nil || len(outcomes) != 1 || outcomes[0].Err != nil || outcomes[0].Permits(v) {
			t.Fatalf("%+v of %s with high watermark %+v: %+v, %v", v, key.Short(), high, outcomes, err)
		}
		if diff := cmp.Diff(&high, outcomes[0].Above); diff != "" {
			t.Error(diff)
		}
	}
	checkAll(t, l, []slashing.Claim{{Key: one, Vote: a(10)}, {Key: one, Vote: b(10)}, {Key: other, Vote: a(10)}}, a(10), b(10), a(10))

	alone := slashing.HighWatermark{Slot: 15, Epoch: slashing.MaxHeight} // a key's own, of blocks, with none of all keys
	setHigh(t, l, []bls.PublicKey{one}, alone)
	above(one, b(16), alone)
	checkAll(t, l, []slashing.Claim{{Key: one, Vote: b(15)}, {Key: one, Vote: a(16)}, {Key: other, Vote: b(16)}}, b(15), a(16), b(16))
	alone = slashing.HighWatermark{Slot: slashing.MaxHeight, Epoch: 17} // and of attestations
	setHigh(t, l, []bls.PublicKey{one}, alone)
	above(one, a(18), alone)
	checkAll(t, l, []slashing.Claim{{Key: one, Vote: a(17)}, {Key: one, Vote: b(16)}, {Key: other, Vote: a(18)}}, a(17), b(16), a(18))
	setHigh(t, l, []bls.PublicKey{one}, slashing.NoHighWatermark())

	all := slashing.HighWatermark{Slot: 20, Epoch: slashing.MaxHeight}
	setHigh(t, l, nil, all)
	checkAll(t, l, []slashing.Claim{{Key: one, Vote: b(20)}, {Key: one, Vote: a(21)}}, b(20), a(21))
	above(one, b(21), all)
	above(other, b(21), all)
	above(bls.PublicKey{3}, b(21), all)

	own := slashing.HighWatermark{Slot: 30, Epoch: 21}
	setHigh(t, l, []bls.PublicKey{one, {4}}, own)
	above(one, a(22), own.Lower(all))
	above(bls.PublicKey{4}, a(22), own.Lower(all))
	above(one, b(22), own.Lower(all))
	checkAll(t, l, []slashing.Claim{{Key: one, Vote: a(21)}, {Key: other, Vote: a(22)}}, a(21), a(22))
	checkHigh(t, l, all, map[bls.PublicKey]slashing.HighWatermark{one: own, {4}: own})

	// Below what is on record: the same vote is not signed again, and the record stays.
	low := slashing.HighWatermark{Slot: 5, Epoch: 5}
	setHigh(t, l, nil, low)
	above(other, a(22), low)
	above(one, b(20), low)
	setHigh(t, l, nil, slashing.NoHighWatermark())
	setHigh(t, l, []bls.PublicKey{one, {4}}, slashing.NoHighWatermark())
	checkAll(t, l, []slashing.Claim{{Key: other, Vote: a(22)}, {Key: one, Vote: a(22)}, {Key: one, Vote: b(20)}}, a(22), a(22), b(20))
	checkHigh(t, l, slashing.NoHighWatermark(), nil)
}

func checkHigh(t *testing.T, l slashing.Ledger, all slashing.HighWatermark, single map[bls.PublicKey]slashing.HighWatermark) {
	t.Helper()
	if got, err := l.HighWatermark(t.Context()); err != nil || got != all {
		t.Errorf("high watermark of all keys %+v, %v, want %+v", got, err, all)
	}
	got, err := l.KeyHighWatermarks(t.Context())
	if diff := cmp.Diff(single, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("high watermarks of keys: %v %s", err, diff)
	}
}

// testHighWatermarkStays: it is the store's, not the process's.
func testHighWatermarkStays(t *testing.T, p Place) {
	l := ledgerOf(t, p)
	high := slashing.HighWatermark{Slot: 1, Epoch: 2}
	setHigh(t, l, nil, high)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = ledger(t, p)
	vote := slashing.Attestation{Target: 3}
	if outcomes, err := l.Advance(t.Context(), []slashing.Claim{{Vote: vote}}); err != nil || outcomes[0].Above == nil {
		t.Errorf("a vote above: %+v, %v", outcomes, err)
	}
}

// testHighWatermarkRace: nothing above is permitted to an Advance that began after it was set, whoever sets it meanwhile.
func testHighWatermarkRace(t *testing.T, p Place) {
	l := ledger(t, p)
	for round := range uint64(5) {
		high := slashing.HighWatermark{Slot: 1000 * round, Epoch: 1000 * round}
		ctx, stop := context.WithCancel(t.Context())
		var signing sync.WaitGroup
		isSet := make(chan struct{})
		for key := range byte(4) {
			signing.Go(func() {
				for height := high.Epoch + 1; ctx.Err() == nil && height < high.Epoch+900; height++ {
					var vote slashing.Vote = slashing.Attestation{Target: height, Root: eth2.Root{key}}
					if key%2 == 0 {
						vote = slashing.Block{Slot: height, Root: eth2.Root{key}}
					}
					after := closed(isSet)
					outcomes, err := l.Advance(ctx, []slashing.Claim{{Key: bls.PublicKey{key}, Vote: vote}})
					switch {
					case errors.Is(err, slashing.ErrUnavailable), errors.Is(err, slashing.ErrOutcomeUnknown):
					case err != nil || len(outcomes) != 1:
						t.Errorf("%v, %v", outcomes, err)
					case outcomes[0].Permits(vote) && after:
						t.Errorf("%+v was permitted above the high watermark %d", vote, high.Epoch)
					case outcomes[0].Above != nil:
						return
					}
				}
			})
		}
		setHigh(t, l, nil, high)
		close(isSet)
		signing.Wait()
		stop()
		setHigh(t, l, nil, slashing.NoHighWatermark())
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
