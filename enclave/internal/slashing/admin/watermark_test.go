package admin_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

// TestHighWatermark: a height that is not given stays as it is, for all keys and for each single one.
func TestHighWatermark(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	one, two := bls.PublicKey{1}.String(), bls.PublicKey{2}.String()
	same := func(got admin.HighWatermarks, err error, want admin.HighWatermarks) {
		t.Helper()
		if want.Keys == nil {
			want.Keys = []admin.KeyLimit{}
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v, want -, got +\n%s", err, diff)
		}
		if now, err := b.HighWatermarks(ctx); err != nil || !cmp.Equal(now, got) {
			t.Errorf("set are %v, %v, told was %v", now, err, got)
		}
	}
	h, err := b.HighWatermarks(ctx)
	same(h, err, admin.HighWatermarks{})
	if text := h.String(); text != "all keys  none\n" {
		t.Error(text)
	}
	h, err = b.SetHighWatermark(ctx, admin.Limit{Slot: height(80)}, nil)
	same(h, err, admin.HighWatermarks{All: admin.Limit{Slot: height(80)}})
	h, err = b.SetHighWatermark(ctx, admin.Limit{Epoch: height(0)}, nil)
	all := admin.Limit{Slot: height(80), Epoch: height(0)}
	same(h, err, admin.HighWatermarks{All: all})

	h, err = b.SetHighWatermark(ctx, admin.Limit{Epoch: height(3)}, []bls.PublicKey{{2}})
	same(h, err, admin.HighWatermarks{All: all, Keys: []admin.KeyLimit{{two, admin.Limit{Epoch: height(3)}}}})
	h, err = b.SetHighWatermark(ctx, admin.Limit{Slot: height(9)}, []bls.PublicKey{{2}, {1}})
	same(h, err, admin.HighWatermarks{All: all, Keys: []admin.KeyLimit{
		{one, admin.Limit{Slot: height(9)}}, {two, admin.Limit{Slot: height(9), Epoch: height(3)}},
	}})
	if text := h.String(); text != "all keys  slot 80, epoch 0\n"+one+"  slot 9, epoch none\n"+two+"  slot 9, epoch 3\n" {
		t.Error(text)
	}

	h, err = b.RemoveHighWatermark(ctx, nil)
	same(h, err, admin.HighWatermarks{Keys: h.Keys})
	if len(h.Keys) != 2 {
		t.Errorf("that of single keys went too: %v", h)
	}
	h, err = b.RemoveHighWatermark(ctx, []bls.PublicKey{{1}, {2}, {3}})
	same(h, err, admin.HighWatermarks{})
}

// TestHighWatermarkNotReadBack: the error must not sound as if nothing had been set.
func TestHighWatermarkNotReadBack(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	a := admin.New(&forgetful{Memory: b.store}, network(t), "memory")
	_, err := a.SetHighWatermark(ctx, admin.Limit{Slot: height(80)}, nil)
	if !said(err, problem.StoreUnavailable, "the high watermark is set as asked, but could not be read back") || !errors.Is(err, slashing.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if h, err := b.HighWatermarks(ctx); err != nil || !cmp.Equal(h.All, admin.Limit{Slot: height(80)}) {
		t.Errorf("set is %v, %v", h, err)
	}
}

// TestHighWatermarkOfSome: keys that get different ones get them in several steps.
func TestHighWatermarkOfSome(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	if _, err := b.SetHighWatermark(ctx, admin.Limit{Slot: height(7)}, []bls.PublicKey{{1}}); err != nil {
		t.Fatal(err)
	}
	a := admin.New(&forgetful{Memory: b.store, once: true}, network(t), "memory")
	_, err := a.SetHighWatermark(ctx, admin.Limit{Epoch: height(8)}, []bls.PublicKey{{1}, {2}})
	if !said(err, problem.StoreUnavailable, "of some of the keys is set") || !errors.Is(err, slashing.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// forgetful is a store that answers nothing once a high watermark was set.
type forgetful struct {
	*storetest.Memory

	once bool // no second one can be set either
	set  bool
}

func (f *forgetful) SetHighWatermark(ctx context.Context, keys []bls.PublicKey, h slashing.HighWatermark) error {
	if f.set && f.once {
		return slashing.ErrUnavailable
	}
	f.set = true
	return f.Memory.SetHighWatermark(ctx, keys, h)
}

func (f *forgetful) HighWatermark(ctx context.Context) (slashing.HighWatermark, error) {
	if f.set {
		return slashing.HighWatermark{}, slashing.ErrUnavailable
	}
	return f.Memory.HighWatermark(ctx)
}

// TestHighWatermarkFreezes: what is at the height is signed, what is above is not, and the record outlives the freeze.
func TestHighWatermarkFreezes(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	if _, err := b.SetHighWatermark(ctx, admin.Limit{Epoch: height(8)}, nil); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		target uint64
		permit bool
	}{{8, true}, {9, false}, {8, true}} {
		vote := slashing.Attestation{Source: 7, Target: test.target}
		outcomes, err := b.store.Advance(ctx, []slashing.Claim{{Key: bls.PublicKey{1}, Vote: vote}})
		if err != nil || outcomes[0].Permits(vote) != test.permit {
			t.Errorf("target %d: %+v, %v", test.target, outcomes, err)
		}
	}
	b.has(slashing.Record{Key: bls.PublicKey{1}, Attestation: &slashing.Attestation{Source: 7, Target: 8}})
}

func TestWhatIsNoInput(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	keys := []bls.PublicKey{{1}}
	raise := func(l admin.Lift) func(context.Context) error {
		return func(ctx context.Context) error { _, err := b.Raise(ctx, l, keys, false, b.tell); return err }
	}
	limit := func(l admin.Limit) func(context.Context) error {
		return func(ctx context.Context) error { _, err := b.SetHighWatermark(ctx, l, nil); return err }
	}
	const above = "9223372036854775808 is above 9223372036854775807"
	for words, do := range map[string]func(context.Context) error{
		"want slot, or source_epoch and target_epoch, or all three": raise(admin.Lift{}),
		"want slot, or source_epoch and target_epoch":               raise(admin.Lift{Slot: height(1), TargetEpoch: height(1)}),
		"want slot, or source_epoch":                                raise(admin.Lift{SourceEpoch: height(1)}),
		"source_epoch 2 is above target_epoch 1":                    raise(admin.Lift{SourceEpoch: height(2), TargetEpoch: height(1)}),
		above:                                                       raise(admin.Lift{Slot: height(1 << 63)}),
		above + ", the highest":                                     raise(admin.Lift{SourceEpoch: height(1), TargetEpoch: height(1 << 63)}),
		"want slot, or epoch, or both":                              limit(admin.Limit{}),
		above + ", the highest that can":                            limit(admin.Limit{Slot: height(1 << 63)}),
		above + ", the highest that can be recorded":                limit(admin.Limit{Slot: height(1), Epoch: height(1 << 63)}),
		"want at least one key":                                     func(ctx context.Context) error { _, err := b.Init(ctx, nil, false, b.tell); return err },
	} {
		if err := do(ctx); !said(err, problem.Malformed, words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
	b.has()
	if h, err := b.HighWatermarks(ctx); err != nil || h.All != (admin.Limit{}) || len(b.told) > 0 {
		t.Errorf("%v, %v, %q", h, err, b.told)
	}
}
