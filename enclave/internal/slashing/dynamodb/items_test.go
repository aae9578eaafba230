package dynamodb_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb"
)

// TestDamagedItems: an item that we would not have written, and that a vote does not replace, permits nothing, names its key and its fault, and harms no other key.
func TestDamagedItems(t *testing.T) {
	damaged, sound := bls.PublicKey{1}, bls.PublicKey{2}
	for _, tc := range []struct {
		name string
		item attributes
		word string
	}{
		{"source alone", attributes{"source": number("1")}, "source"},
		{"target alone", attributes{"target": number("1")}, "source"},
		{"target is a string", attributes{"source": number("1"), "target": text("2")}, "target"},
		{"source is negative", attributes{"source": number("-1"), "target": number("20")}, "source"},
		{"target is a fraction", attributes{"source": number("1"), "target": number("20.5")}, "target"},
		{"target is huge", attributes{"source": number("1"), "target": number("18446744073709551616")}, "target"},
		{"root is short", attributes{"source": number("1"), "target": number("20"), "attestation_root": binary([]byte{1})}, "attestation_root"},
		{"root is a string", attributes{"source": number("1"), "target": number("20"), "attestation_root": text("x")}, "attestation_root"},
		{"slot is a string", attributes{"slot": text("1")}, "slot"},
		{"block's root is short", attributes{"slot": number("20"), "block_root": binary([]byte{1})}, "block_root"},
		{"high watermark is a string", attributes{"slot": number("1"), "max_epoch": text("1")}, "max_epoch"},
		{"revision is a string", attributes{"slot": number("1"), "revision": text("1")}, "revision"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options(table(t))
			s := open(t, o)
			tc.item["key"] = binary(damaged[:])
			put(t, o.Table, tc.item)
			vote, block := attestation(9, 1), slashing.Block{Slot: 9}
			outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Key: damaged, Vote: vote}, {Key: sound, Vote: vote}, {Key: damaged, Vote: block}})
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range []int{0, 2} {
				if err := outcomes[i].Err; err == nil || !strings.Contains(err.Error(), damaged.Short()) || !strings.Contains(err.Error(), tc.word) {
					t.Errorf("claim %d: %+v", i, outcomes[i])
				}
			}
			if !outcomes[1].Permits(vote) {
				t.Errorf("the other key: %+v", outcomes[1])
			}
			for call, err := range map[string]error{
				"Each":  s.Each(t.Context(), func(slashing.Record) error { return nil }),
				"Merge": s.Merge(t.Context(), []slashing.Record{{Key: damaged, Block: &block}}),
			} {
				if !errors.Is(err, slashing.ErrUnavailable) {
					t.Errorf("%s: %v", call, err)
				}
			}
		})
	}
}

// TestForeignItem: an item of another kind is refused where all are read.
func TestForeignItem(t *testing.T) {
	o := options(table(t))
	s := open(t, o)
	put(t, o.Table, attributes{"key": binary([]byte("other")), "slot": number("1")})
	if err := s.Each(t.Context(), func(slashing.Record) error { return nil }); !errors.Is(err, dynamodb.ErrTable) {
		t.Errorf("Each: %v", err)
	}
}

// plain compares attributes by what they hold.
func plain() cmp.Option {
	return cmp.Transformer("plain", func(v types.AttributeValue) any {
		switch v := v.(type) {
		case *types.AttributeValueMemberB:
			return v.Value
		case *types.AttributeValueMemberN:
			return json.Number(v.Value)
		case *types.AttributeValueMemberS:
			return v.Value
		}
		return v
	})
}

// TestAttributes: the form of items, which other releases and other tools read.
func TestAttributes(t *testing.T) {
	o := options(table(t))
	s := open(t, o)
	key := bls.PublicKey{1}
	root := eth2.Root{4}
	vote := slashing.Attestation{Source: 2, Target: slashing.MaxHeight, Root: root}
	outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Key: key, Vote: vote}, {Key: key, Vote: slashing.Block{Slot: 6, Root: root}}})
	if err != nil || !outcomes[0].Permits(vote) {
		t.Fatalf("%+v, %v", outcomes, err)
	}
	check := func(want attributes) {
		t.Helper()
		want["key"] = binary(key[:])
		if diff := cmp.Diff(want, item(t, o.Table, key[:]), plain()); diff != "" {
			t.Error(diff)
		}
	}
	votes := attributes{
		"source": number("2"), "target": number("9223372036854775807"), "attestation_root": binary(root[:]),
		"slot": number("6"), "block_root": binary(root[:]),
	}
	check(maps.Clone(votes))
	if err := s.SetHighWatermark(t.Context(), []bls.PublicKey{key}, slashing.HighWatermark{Slot: 7, Epoch: slashing.MaxHeight}); err != nil {
		t.Fatal(err)
	}
	votes["max_slot"], votes["revision"] = number("7"), number("1")
	check(maps.Clone(votes))
	// What is not known is absent, and a merge leaves the high watermark as it is.
	if err := s.Merge(t.Context(), []slashing.Record{{Key: key, Block: &slashing.Block{Slot: 6, RootUnknown: true}}}); err != nil {
		t.Fatal(err)
	}
	delete(votes, "block_root")
	check(maps.Clone(votes))
	if err := s.Pin(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	meta := item(t, o.Table, []byte("meta"))
	if got, want := slices.Sorted(maps.Keys(meta)), []string{"genesis_validators_root", "key", "schema_version", "store_id"}; !slices.Equal(got, want) {
		t.Errorf("attributes of meta %v, want %v", got, want)
	}
}

// TestLateRequest: a high watermark that was removed and set again is not removed by the first request, which comes late.
func TestLateRequest(t *testing.T) {
	for name, keys := range map[string][]bls.PublicKey{"all keys": nil, "one key": {{1}}} {
		t.Run(name, func(t *testing.T) {
			p, store, truth := through(t)
			high := slashing.HighWatermark{Slot: 4, Epoch: 5}
			set := func(s *dynamodb.Store, h slashing.HighWatermark) {
				t.Helper()
				if err := s.SetHighWatermark(t.Context(), keys, h); err != nil {
					t.Fatal(err)
				}
			}
			set(truth, high)
			p.spoil(onlyUpdates(first(1, deed{keep: true, then: cut})))
			set(store, slashing.NoHighWatermark())
			set(truth, high)
			p.release(t)
			vote := attestation(6, 1)
			outcomes, err := truth.Advance(t.Context(), []slashing.Claim{{Key: bls.PublicKey{1}, Vote: vote}})
			if err != nil || outcomes[0].Above == nil || *outcomes[0].Above != high {
				t.Errorf("%+v, %v", outcomes, err)
			}
		})
	}
}

// TestMergeFails: a merge that fails in the middle says so, and is done when it is repeated.
func TestMergeFails(t *testing.T) {
	p, store, truth := through(t)
	records := make([]slashing.Record, 100)
	for i := range records {
		records[i] = slashing.Record{Key: bls.PublicKey{byte(i)}, Block: &slashing.Block{Slot: 1}}
	}
	p.spoil(onlyUpdates(func(n int) deed {
		if n == 50 {
			return fail(400, "AccessDeniedException", "not now")
		}
		return pass()
	}))
	checkError(t, store.Merge(t.Context(), records), slashing.ErrOutcomeUnknown)
	p.spoil(func(operation string, n int) deed {
		if operation == "GetItem" && n > 1 {
			return fail(400, "AccessDeniedException", "not now")
		}
		return pass()
	})
	checkError(t, store.Merge(t.Context(), records), slashing.ErrUnavailable)
	checkError(t, store.Merge(t.Context(), append(records, records[0])), slashing.ErrUnavailable)
	p.spoil(nil)
	if err := store.Merge(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := truth.Each(t.Context(), func(slashing.Record) error { n++; return nil }); err != nil || n != len(records) {
		t.Errorf("%d records, %v; want %d", n, err, len(records))
	}
}

// TestLimitUnreadable: a claim that was recorded while the high watermark of all keys could not be read is not permitted, and not
// called unrecorded; a refused one is refused.
func TestLimitUnreadable(t *testing.T) {
	p, store, truth := through(t)
	refused, recorded := bls.PublicKey{1}, bls.PublicKey{2}
	vote := attestation(5, 1)
	if outcomes, err := truth.Advance(t.Context(), []slashing.Claim{{Key: refused, Vote: attestation(9, 9)}}); err != nil || outcomes[0].Err != nil {
		t.Fatalf("%+v, %v", outcomes, err)
	}
	p.spoil(func(operation string, _ int) deed {
		if operation == "GetItem" {
			return fail(400, "AccessDeniedException", "no")
		}
		return pass()
	})
	claims := []slashing.Claim{{Key: refused, Vote: vote}, {Key: recorded, Vote: vote}}
	outcomes, err := store.Advance(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	if o := outcomes[0]; o.Err != nil || o.Standing != attestation(9, 9) {
		t.Errorf("the refused claim: %+v", o)
	}
	checkError(t, outcomes[1].Err, slashing.ErrOutcomeUnknown)
	if got := onRecord(t, truth, recorded); got != vote {
		t.Errorf("on record %+v", got)
	}
}
