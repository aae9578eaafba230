package slashing_test

import (
	"errors"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// TestAboveTheHighWatermark: up to it, itself included, votes are permitted; above it none is, not even one that was.
func TestAboveTheHighWatermark(t *testing.T) {
	store := storetest.NewMemory()
	g, key := newGuard(store), bls.PublicKey{1}
	set := func(h slashing.HighWatermark) {
		t.Helper()
		if err := store.SetHighWatermark(t.Context(), nil, h); err != nil {
			t.Fatal(err)
		}
	}
	set(slashing.HighWatermark{Slot: 9, Epoch: 6})
	checkPermit(t, g, key, vote(5, 6, 0), 0, "")
	checkPermit(t, g, key, vote(5, 7, 0), problem.Slashable, "target 7 is above the high watermark, epoch 6")
	checkPermit(t, g, key, proposal(9, 0), 0, "")
	checkPermit(t, g, key, proposal(10, 0), problem.Slashable, "slot 10 is above the high watermark, slot 9")
	set(slashing.HighWatermark{Slot: 8, Epoch: 5})
	checkPermit(t, g, key, vote(5, 6, 0), problem.Slashable, "target 6 is above the high watermark, epoch 5")
	checkPermit(t, g, key, vote(5, 6, 1), problem.Slashable, "double vote")
	set(slashing.NoHighWatermark())
	checkPermit(t, g, key, vote(5, 6, 0), 0, "")
	checkPermit(t, g, key, vote(5, 7, 0), 0, "")
}

// TestRecordedAboveTheHighWatermark: a store that learns of the high watermark with its answer may have recorded the vote.
func TestRecordedAboveTheHighWatermark(t *testing.T) {
	high := slashing.HighWatermark{Slot: slashing.MaxHeight, Epoch: 5}
	store := &storetest.Liar{Store: storetest.NewMemory(), After: func(o []slashing.Outcome, err error) ([]slashing.Outcome, error) {
		for i := range o {
			o[i].Above = &high
		}
		return o, err
	}}
	g, key := newGuard(store), bls.PublicKey{1}
	checkPermit(t, g, key, vote(5, 6, 0), problem.Slashable, "above the high watermark")
	store.After = nil
	checkPermit(t, g, key, vote(5, 6, 1), problem.Slashable, "double vote")
	checkPermit(t, g, key, vote(5, 6, 0), 0, "")
}

func TestUnknownKeysAreRefused(t *testing.T) {
	store := storetest.NewMemory()
	g, key, other := newGuard(store), bls.PublicKey{1}, bls.PublicKey{2}
	g.RefuseUnknown()
	checkPermit(t, g, key, vote(5, 6, 0), problem.Slashable, "run containment-chamber slashing init --key "+key.String())
	if _, err := g.Permit(t.Context(), key, proposal(9, 0)); !errors.Is(err, slashing.ErrUnknownKey) || errors.Is(err, slashing.ErrRefused) {
		t.Errorf("error %v", err)
	}
	if err := store.Merge(t.Context(), []slashing.Record{{Key: key, Block: &slashing.Block{RootUnknown: true}}}); err != nil {
		t.Fatal(err)
	}
	checkPermit(t, g, key, vote(5, 6, 0), 0, "")
	checkPermit(t, g, key, proposal(9, 0), 0, "")
	checkPermit(t, g, key, vote(5, 6, 1), problem.Slashable, "double vote")
	checkPermit(t, g, other, vote(5, 6, 0), problem.Slashable, "no record of this key")
	checkPermit(t, newGuard(store), other, vote(5, 6, 0), 0, "")
}

func TestHighWatermarkJudges(t *testing.T) {
	h := slashing.HighWatermark{Slot: 10, Epoch: 4}
	for v, allowed := range map[slashing.Vote]bool{
		attestation(9, 4, 0): true, attestation(1, 5, 0): false, block(10, 0): true, block(11, 0): false, nil: false,
	} {
		if got := h.Judge(v); got.Allowed() != allowed || (got.Reason() == "") != allowed {
			t.Errorf("%+v: %v %q", v, got.Allowed(), got.Reason())
		}
	}
	if got := h.Lower(slashing.HighWatermark{Slot: 3, Epoch: 7}); got != (slashing.HighWatermark{Slot: 3, Epoch: 4}) {
		t.Errorf("lower: %+v", got)
	}
	if v := slashing.NoHighWatermark().Judge(attestation(0, slashing.MaxHeight, 0)); !v.Allowed() {
		t.Errorf("without limit: %s", v.Reason())
	}
}
