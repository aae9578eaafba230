package storetest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
)

// RunLedger checks that a store keeps the contract of slashing.Ledger too; its Places must open Ledgers.
func RunLedger(t *testing.T, fresh func(t *testing.T) Place) {
	t.Helper()
	for _, tc := range []struct {
		name string
		test func(t *testing.T, p Place)
	}{
		{"identity", testIdentity},
		{"network", testPin},
		{"merge", testMerge},
		{"merge agrees with the rule", testMergeProperty},
		{"many records", testMany},
		{"merge while signing", testMergeRace},
		{"known by merge", testKnownByMerge},
		{"high watermark", testHighWatermark},
		{"high watermark stays", testHighWatermarkStays},
		{"high watermark while signing", testHighWatermarkRace},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, fresh(t)) })
	}
}

func ledger(t *testing.T, p Place) slashing.Ledger {
	t.Helper()
	l, ok := opened(t, p).(slashing.Ledger)
	if !ok {
		t.Fatal("the store is no Ledger")
	}
	return l
}

// ledgerOf opens a ledger that the test closes itself.
func ledgerOf(t *testing.T, p Place) slashing.Ledger {
	t.Helper()
	l, ok := p.Open().(slashing.Ledger)
	if !ok {
		t.Fatal("the store is no Ledger")
	}
	return l
}

func testIdentity(t *testing.T, p Place) {
	var ids []string
	for range 2 {
		l := ledgerOf(t, p)
		id, err := l.Identify(t.Context())
		if err != nil || len(id.ID) != 32 || id.Pinned || id.ValidatorsRoot != (eth2.Root{}) {
			t.Errorf("identity %+v, %v", id, err)
		}
		ids = append(ids, id.ID)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Identify(t.Context()); !errors.Is(err, slashing.ErrUnavailable) {
			t.Errorf("Identify after Close: %v", err)
		}
	}
	if ids[0] != ids[1] {
		t.Errorf("the identity changed from %s to %s", ids[0], ids[1])
	}
}

func testPin(t *testing.T, p Place) {
	l := ledger(t, p)
	var pinned sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		pinned.Go(func() { results[i] = l.Pin(t.Context(), eth2.Root{byte(i % 2), 7}) })
	}
	pinned.Wait()
	id, err := l.Identify(t.Context())
	if err != nil || !id.Pinned || id.ValidatorsRoot[1] != 7 {
		t.Fatalf("identity %+v, %v", id, err)
	}
	for i, err := range results {
		refused := errors.Is(err, slashing.ErrNetwork) && !errors.Is(err, slashing.ErrUnavailable) // the store is there
		if won := byte(i%2) == id.ValidatorsRoot[0]; won != (err == nil) || !won && !refused {
			t.Errorf("caller %d: %v, while %x is pinned", i, err, id.ValidatorsRoot)
		}
	}
}

// all reads every record of a store.
func all(t *testing.T, l slashing.Ledger) []slashing.Record {
	t.Helper()
	var records []slashing.Record
	if err := l.Each(t.Context(), func(r slashing.Record) error { records = append(records, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return records
}

func testMerge(t *testing.T, p Place) {
	l := ledger(t, p)
	a := func(source, target uint64, root byte) *slashing.Attestation {
		return &slashing.Attestation{Source: source, Target: target, Root: eth2.Root{root}}
	}
	one(t, l, bls.PublicKey{1}, *a(5, 6, 1))
	one(t, l, bls.PublicKey{2}, slashing.Block{Slot: 8, Root: eth2.Root{2}})
	records := []slashing.Record{
		{Key: bls.PublicKey{3}, Attestation: a(1, 2, 0), Block: &slashing.Block{Slot: 3}},
		{Key: bls.PublicKey{2}, Block: &slashing.Block{Slot: 8, Root: eth2.Root{9}}},
		{Key: bls.PublicKey{1}, Attestation: a(4, 7, 3)},
		{Key: bls.PublicKey{4}, Attestation: &slashing.Attestation{Source: 1, Target: 2, RootUnknown: true}},
		{Key: bls.PublicKey{5}},
	}
	want := []slashing.Record{
		{Key: bls.PublicKey{1}, Attestation: &slashing.Attestation{Source: 5, Target: 7, RootUnknown: true}},
		{Key: bls.PublicKey{2}, Block: &slashing.Block{Slot: 8, RootUnknown: true}},
		records[0],
		records[3],
	}
	for range 2 { // repeated, it changes nothing
		if err := l.Merge(t.Context(), records); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, all(t, l)); diff != "" {
			t.Error(diff)
		}
	}
	// An unknown root equals no vote, the zero root equals itself.
	checkStanding(t, one(t, l, bls.PublicKey{4}, *a(1, 2, 0)), *records[3].Attestation)
	checkStanding(t, one(t, l, bls.PublicKey{2}, slashing.Block{Slot: 8, Root: eth2.Root{9}}), *want[1].Block)
	checkStanding(t, one(t, l, bls.PublicKey{3}, *a(1, 2, 0)), *a(1, 2, 0))
	checkStanding(t, one(t, l, bls.PublicKey{4}, *a(1, 3, 0)), *a(1, 3, 0))
	failed := errors.New("enough")
	if err := l.Each(t.Context(), func(slashing.Record) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("Each with a failing caller: %v", err)
	}
}

// testMergeProperty: after each of any merges, the store holds what slashing.Merged says. The keys change, because after some merges
// of low heights all of them stand at the highest.
func testMergeProperty(t *testing.T, p Place) {
	l := ledger(t, p)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // not for secrets
	var model []slashing.Record              // in the order of their keys
	for round := range byte(12) {
		pair := []slashing.Record{{Key: bls.PublicKey{round, 1}}, {Key: bls.PublicKey{round, 2}}}
		for range 9 {
			records := []slashing.Record{randomRecord(random, pair[0].Key), randomRecord(random, pair[1].Key)}[random.IntN(2):]
			if err := l.Merge(t.Context(), records); err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				have := &pair[r.Key[1]-1]
				*have = slashing.Merged(*have, r)
			}
			want := slices.Clone(model)
			for _, r := range pair {
				if r.Attestation != nil || r.Block != nil {
					want = append(want, r)
				}
			}
			if diff := cmp.Diff(want, all(t, l), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("after the merge of %s:\n%s", cmp.Diff(nil, records), diff)
			}
		}
		model = all(t, l)
	}
}

// randomRecord makes a record of either kind, both or none, with few heights and roots, so that equal ones are common.
func randomRecord(random *rand.Rand, key bls.PublicKey) slashing.Record {
	r := slashing.Record{Key: key}
	if random.IntN(3) > 0 {
		source := random.Uint64N(3)
		r.Attestation = &slashing.Attestation{Source: source, Target: source + random.Uint64N(3)}
		r.Attestation.Root, r.Attestation.RootUnknown = randomRoot(random)
	}
	if random.IntN(3) > 0 {
		r.Block = &slashing.Block{Slot: random.Uint64N(4)}
		r.Block.Root, r.Block.RootUnknown = randomRoot(random)
	}
	return r
}

func randomRoot(random *rand.Rand) (root eth2.Root, unknown bool) {
	if random.IntN(4) == 0 {
		return eth2.Root{}, true
	}
	return eth2.Root{byte(random.IntN(2))}, false
}

// testMany: every record comes once and in order, however many there are.
func testMany(t *testing.T, p Place) {
	l := ledger(t, p)
	const many = 2500
	records := make([]slashing.Record, many)
	for i := range records {
		records[i] = slashing.Record{Key: bls.PublicKey{byte(i * 31), byte(i), byte(i >> 8)}, Block: &slashing.Block{Slot: uint64(i)}}
		if i%2 == 0 {
			records[i].Block, records[i].Attestation = nil, &slashing.Attestation{Target: uint64(i)}
		}
	}
	if err := l.Merge(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(records, func(a, b slashing.Record) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	if diff := cmp.Diff(records, all(t, l)); diff != "" {
		t.Error(diff)
	}
}

// testMergeRace: merging never lowers what signing raises meanwhile.
func testMergeRace(t *testing.T, p Place) {
	l := ledger(t, p)
	key := bls.PublicKey{1}
	var work sync.WaitGroup
	work.Go(func() {
		for target := range uint64(100) {
			one(t, l, key, slashing.Attestation{Target: target})
		}
	})
	work.Go(func() {
		for slot := range uint64(100) {
			one(t, l, key, slashing.Block{Slot: slot})
		}
	})
	work.Go(func() {
		for half := range uint64(50) {
			r := slashing.Record{Key: key, Attestation: &slashing.Attestation{Target: 2 * half}, Block: &slashing.Block{Slot: 2 * half}}
			if err := l.Merge(t.Context(), []slashing.Record{r}); err != nil {
				t.Error(err)
			}
		}
	})
	work.Wait()
	want := []slashing.Record{{Key: key, Attestation: &slashing.Attestation{Target: 99}, Block: &slashing.Block{Slot: 99}}}
	if diff := cmp.Diff(want, all(t, l)); diff != "" {
		t.Error(diff)
	}
}
