package admin_test

import (
	"strings"
	"testing"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/problem"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
)

func TestRaise(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	lift := admin.Lift{SourceEpoch: height(3), TargetEpoch: height(5)}
	if _, err := b.Raise(ctx, lift, nil, false, b.tell); !said(err, problem.Malformed, "no key on record") {
		t.Errorf("an empty store: %v", err)
	}
	s, err := b.Raise(ctx, lift, []bls.PublicKey{{2}, {1}}, true, b.tell)
	b.want(s, err, "new        0x02…  source 3 target 5 (root unknown), no block", "new        0x01…  source 3 target 5 (root unknown), no block",
		"2 new, 0 raised, 0 unchanged; a dry run, nothing was written")
	b.has()
	s, err = b.Raise(ctx, lift, []bls.PublicKey{{2}, {1}}, false, b.tell)
	b.want(s, err, "new        0x02…  source 3 target 5 (root unknown), no block", "new        0x01…  source 3 target 5 (root unknown), no block",
		"2 new, 0 raised, 0 unchanged")
	s, err = b.Raise(ctx, admin.Lift{Slot: height(8)}, []bls.PublicKey{{2}}, false, b.tell)
	b.want(s, err, "raised     0x02…  source 3 target 5 (root unknown), no block -> source 3 target 5 (root unknown), slot 8 (root unknown)",
		"0 new, 1 raised, 0 unchanged")
	s, err = b.Raise(ctx, admin.Lift{Slot: height(7), SourceEpoch: height(0), TargetEpoch: height(9)}, nil, false, b.tell)
	b.want(s, err,
		"raised     0x01…  source 3 target 5 (root unknown), no block -> source 3 target 9 (root unknown), slot 7 (root unknown)",
		"raised     0x02…  source 3 target 5 (root unknown), slot 8 (root unknown) -> source 3 target 9 (root unknown), slot 8 (root unknown)",
		"0 new, 2 raised, 0 unchanged")
	b.has(slashing.Record{Key: bls.PublicKey{1}, Attestation: unknown(3, 9), Block: unknownBlock(7)},
		slashing.Record{Key: bls.PublicKey{2}, Attestation: unknown(3, 9), Block: unknownBlock(8)})
}

// TestInit: a key without any record becomes known, and signs nothing at height 0; any record stays as it is.
func TestInit(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	known := []slashing.Record{{Key: bls.PublicKey{1}, Attestation: &slashing.Attestation{Target: 0, Root: eth2.Root{7}}}, {Key: bls.PublicKey{2}, Block: &slashing.Block{Slot: 5}}}
	if err := b.store.Merge(ctx, known); err != nil {
		t.Fatal(err)
	}
	keys := []bls.PublicKey{{3}, {1}, {2}}
	lines := []string{
		"new        0x03…  source 0 target 0 (root unknown), slot 0 (root unknown)", "unchanged  0x01…  source 0 target 0, no block",
		"unchanged  0x02…  no attestation, slot 5", "1 new, 0 raised, 2 unchanged",
	}
	dry, err := b.Init(ctx, keys, true, b.tell)
	b.want(dry, err, append(lines[:3:3], lines[3]+"; a dry run, nothing was written")...)
	b.has(known...)
	s, err := b.Init(ctx, keys, false, b.tell)
	b.want(s, err, lines...)
	b.has(known[0], known[1], slashing.Record{Key: bls.PublicKey{3}, Attestation: unknown(0, 0), Block: unknownBlock(0)})
	s, err = b.Init(ctx, keys[:1], false, b.tell)
	b.want(s, err, "unchanged  0x03…  source 0 target 0 (root unknown), slot 0 (root unknown)", "0 new, 0 raised, 1 unchanged")

	claims := func(key byte, target, slot uint64) []slashing.Claim {
		return []slashing.Claim{
			{Key: bls.PublicKey{key}, Vote: slashing.Attestation{Target: target}, KnownOnly: true},
			{Key: bls.PublicKey{key}, Vote: slashing.Block{Slot: slot}, KnownOnly: true},
		}
	}
	for _, test := range []struct {
		claims []slashing.Claim
		permit bool
	}{{claims(3, 0, 0), false}, {claims(3, 1, 1), true}, {claims(4, 1, 1), false}} {
		outcomes, err := b.store.Advance(ctx, test.claims)
		if err != nil || outcomes[0].Permits(test.claims[0].Vote) != test.permit || outcomes[1].Permits(test.claims[1].Vote) != test.permit {
			t.Errorf("%+v: %+v, %v; want permits %v", test.claims, outcomes, err, test.permit)
		}
	}
}

// TestWarnsOfTheFuture: a height that the chain has not reached takes a key out of its duties for good.
func TestWarnsOfTheFuture(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	for _, test := range []struct {
		lift    admin.Lift
		warning string
	}{
		{admin.Lift{Slot: height(5)}, ""},
		{admin.Lift{Slot: height(1e12)}, "1 keys get heights up to epoch 31250000000, while it is epoch "},
		{admin.Lift{SourceEpoch: height(1), TargetEpoch: height(4e9)}, "1 keys get heights up to epoch 4000000000, "},
		{admin.Lift{Slot: height(slashing.MaxHeight)}, "1 keys get heights up to epoch 288230376151711743, "},
	} {
		s, err := b.Raise(ctx, test.lift, []bls.PublicKey{{1}}, true, b.tell)
		if got := strings.Join(s.Warnings, ""); err != nil || !strings.HasPrefix(got, test.warning) || (got == "") != (test.warning == "") {
			t.Errorf("%v, %q; want %q", err, got, test.warning)
		}
	}
}
