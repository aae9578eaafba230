package admin_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/admin"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network's epochs are known to be far above those of the tests.
func network(t *testing.T) *eth2.Network {
	t.Helper()
	n, err := eth2.NetworkByName("hoodi")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// bench is an Admin over a store in memory.
type bench struct {
	*admin.Admin

	t     *testing.T
	store *storetest.Memory
	told  []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	store := storetest.NewMemory()
	return &bench{Admin: admin.New(store, network(t), "memory"), t: t, store: store}
}

// tell remembers the lines, with keys shortened.
func (b *bench) tell(c admin.Change) error {
	b.told = append(b.told, strings.ReplaceAll(c.String(), strings.Repeat("00", 47), "…"))
	return nil
}

// want compares what was told, and the summary, and forgets them.
func (b *bench) want(s admin.Summary, err error, lines ...string) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	if diff := cmp.Diff(lines, append(b.told, s.String())); diff != "" {
		b.t.Errorf("want -, got +\n%s", diff)
	}
	b.told = nil
}

func (b *bench) has(want ...slashing.Record) {
	b.t.Helper()
	var got []slashing.Record
	if err := b.store.Each(b.t.Context(), func(r slashing.Record) error { got = append(got, r); return nil }); err != nil {
		b.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("on record: want -, got +\n%s", diff)
	}
}

func file(t *testing.T, entries ...string) string {
	t.Helper()
	root := network(t).ValidatorsRoot
	return fmt.Sprintf(`{"metadata": {"interchange_format_version": "5", "genesis_validators_root": "0x%x"}, "data": [%s]}`, root[:], strings.Join(entries, ","))
}

func history(key byte, blocks, attestations string) string {
	return fmt.Sprintf(`{"pubkey": "%s", "signed_blocks": [%s], "signed_attestations": [%s]}`, bls.PublicKey{key}, blocks, attestations)
}

func unknown(source, target uint64) *slashing.Attestation {
	return &slashing.Attestation{Source: source, Target: target, RootUnknown: true}
}

func unknownBlock(slot uint64) *slashing.Block { return &slashing.Block{Slot: slot, RootUnknown: true} }

func height(h uint64) *uint64 { return &h }

func TestImport(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	first := file(t, history(2, `{"slot": "7", "signing_root": "0x`+strings.Repeat("00", 32)+`"}`, ``), history(1, ``, `{"source_epoch": "2", "target_epoch": "3"}`))
	for range 2 {
		s, err := b.Import(ctx, strings.NewReader(first), true, b.tell)
		b.want(s, err, "new        0x01…  source 2 target 3 (root unknown), no block", "new        0x02…  no attestation, slot 7",
			"2 new, 0 raised, 0 unchanged; a dry run, nothing was written")
	}
	b.has()
	s, err := b.Import(ctx, strings.NewReader(first), false, b.tell)
	if s.Attestations != 1 || s.Blocks != 1 || s.New != 2 {
		t.Errorf("%+v", s)
	}
	b.want(s, err, "new        0x01…  source 2 target 3 (root unknown), no block", "new        0x02…  no attestation, slot 7", "2 new, 0 raised, 0 unchanged")
	// Lower heights, a greater one beside a lower, and a key without anything.
	second := file(t, history(1, ``, `{"source_epoch": "1", "target_epoch": "4"}`), history(2, `{"slot": "6"}`, ``), history(3, ``, ``))
	s, err = b.Import(ctx, strings.NewReader(second), false, b.tell)
	b.want(s, err, "raised     0x01…  source 2 target 3 (root unknown), no block -> source 2 target 4 (root unknown), no block",
		"unchanged  0x02…  no attestation, slot 7", "unchanged  0x03…  no attestation, no block", "0 new, 1 raised, 2 unchanged")
	b.has(slashing.Record{Key: bls.PublicKey{1}, Attestation: unknown(2, 4)}, slashing.Record{Key: bls.PublicKey{2}, Block: &slashing.Block{Slot: 7}})
}

// TestWhatIsExportedIsImported: the file of one store makes another the same.
func TestWhatIsExportedIsImported(t *testing.T) {
	b, other, ctx := newBench(t), newBench(t), t.Context()
	var empty, first, second bytes.Buffer
	warnings, err := b.Export(ctx, &empty)
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "for hoodi, because the configuration does") || !strings.HasSuffix(empty.String(), "]\n}\n") {
		t.Errorf("an unused store: %q, %v, %s", warnings, err, &empty)
	}
	if _, err := b.Raise(ctx, admin.Lift{Slot: height(5), SourceEpoch: height(1), TargetEpoch: height(2)}, []bls.PublicKey{{1}, {9}}, false, b.tell); err != nil {
		t.Fatal(err)
	}
	if warnings, err := b.Export(ctx, &first); err != nil || warnings != nil {
		t.Errorf("%q, %v", warnings, err)
	}
	if _, err := other.Import(ctx, strings.NewReader(first.String()), false, other.tell); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Export(ctx, &second); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.String(), second.String()); diff != "" || strings.Count(first.String(), `"pubkey"`) != 2 {
		t.Errorf("%s\n%s", diff, &first)
	}
	failed := errors.New("disk full")
	if _, err := b.Export(ctx, failing{failed}); !errors.Is(err, failed) {
		t.Errorf("to a full disk: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
func (f failing) Read([]byte) (int, error)  { return 0, f.err }

func TestStatus(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	s, err := b.Status(ctx)
	if err != nil || s.GenesisValidatorsRoot != nil || s.Keys != 0 || !strings.Contains(s.String(), "not pinned yet") || !strings.Contains(s.String(), "highest slot none") {
		t.Errorf("an unused store: %v\n%s", err, s)
	}
	if _, err := b.Raise(ctx, admin.Lift{SourceEpoch: height(4), TargetEpoch: height(5)}, []bls.PublicKey{{1}, {2}}, false, b.tell); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Raise(ctx, admin.Lift{Slot: height(7)}, []bls.PublicKey{{2}}, false, b.tell); err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetHighWatermark(ctx, admin.Limit{Slot: height(80)}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetHighWatermark(ctx, admin.Limit{Epoch: height(8)}, []bls.PublicKey{{2}}); err != nil {
		t.Fatal(err)
	}
	if s, err = b.Status(ctx); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`store                    memory %s
network                  hoodi
genesis validators root  0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f
keys                     2
attestations             2, highest source epoch 4, highest target epoch 5
blocks                   1, highest slot 7
high watermark           slot 80, epoch none; 1 keys have their own
`, s.StoreID)
	if diff := cmp.Diff(want, s.String()); diff != "" || len(s.StoreID) != 32 {
		t.Errorf("want -, got +\n%s", diff)
	}
}
