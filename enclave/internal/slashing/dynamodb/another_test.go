package dynamodb_test

import (
	"errors"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/bls"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/eth2"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing"
	"github.com/unforeseen-consequences/containment-chamber/enclave/internal/slashing/dynamodb"
)

// TestAnotherStore: a table that became another one, or empty, is noticed by every call, and nothing is permitted.
func TestAnotherStore(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, table string){
		"a copy's identity": func(t *testing.T, table string) {
			put(t, table, attributes{"key": binary([]byte("meta")), "store_id": text("another"), "schema_version": number("1")})
		},
		"empty": func(t *testing.T, table string) {
			key := attributes{"key": binary([]byte("meta"))}
			if _, err := shared.Client().DeleteItem(t.Context(), &sdk.DeleteItemInput{TableName: &table, Key: key}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(table(t))
			s := open(t, o)
			spoil(t, o.Table)
			vote := attestation(1, 1)
			outcomes, err := s.Advance(t.Context(), []slashing.Claim{{Vote: vote}})
			if !errors.Is(err, slashing.ErrOutcomeUnknown) {
				t.Errorf("Advance: %+v, %v", outcomes, err)
			}
			// The vote is on record now, in another store: that refuses nothing.
			outcomes, err = s.Advance(t.Context(), []slashing.Claim{{Vote: attestation(1, 2)}})
			if !errors.Is(err, slashing.ErrUnavailable) || !errors.Is(err, dynamodb.ErrTable) {
				t.Errorf("Advance of a vote that it refuses: %+v, %v", outcomes, err)
			}
			key := []bls.PublicKey{{7}}
			_, identify := s.Identify(t.Context())
			_, high := s.HighWatermark(t.Context())
			_, keys := s.KeyHighWatermarks(t.Context())
			for call, err := range map[string]error{
				"Check": s.Check(t.Context()), "Identify": identify, "HighWatermark": high, "KeyHighWatermarks": keys,
				"Merge":                   s.Merge(t.Context(), []slashing.Record{{Key: key[0], Block: &slashing.Block{Slot: 1}}}),
				"Each":                    s.Each(t.Context(), func(slashing.Record) error { return nil }),
				"SetHighWatermark":        s.SetHighWatermark(t.Context(), nil, slashing.HighWatermark{}),
				"SetHighWatermark of one": s.SetHighWatermark(t.Context(), key, slashing.HighWatermark{}),
				"Pin":                     s.Pin(t.Context(), eth2.Root{1}),
			} {
				if !errors.Is(err, slashing.ErrUnavailable) || !errors.Is(err, dynamodb.ErrTable) {
					t.Errorf("%s: %v", call, err)
				}
			}
			if got := item(t, o.Table, key[0][:]); len(got) != 0 {
				t.Errorf("written to another store: %v", got)
			}
		})
	}
}

// TestAnotherStoreMeanwhile: a store that becomes another one between two requests of a call gets no high watermark.
func TestAnotherStoreMeanwhile(t *testing.T) {
	p := newProxy(t)
	o := options(table(t))
	o.Endpoint = p.server.URL
	s := open(t, o)
	another := attributes{"key": binary([]byte("meta")), "store_id": text("another"), "schema_version": number("1")}
	swap := pass()
	swap.wait = func() { put(t, o.Table, another) }
	p.spoil(onlyUpdates(first(1, swap)))
	err := s.SetHighWatermark(t.Context(), nil, slashing.HighWatermark{})
	if !errors.Is(err, slashing.ErrUnavailable) || !errors.Is(err, dynamodb.ErrTable) {
		t.Errorf("%v", err)
	}
	if got := item(t, o.Table, []byte("meta")); len(got) != len(another) {
		t.Errorf("written to another store: %v", got)
	}
}

// TestCheck: a table that can be read, and not written to, is no store that votes can be put in. Check changes nothing in it, and makes
// nothing in one that was emptied meanwhile.
func TestCheck(t *testing.T) {
	o := options(table(t))
	p := newProxy(t)
	o.Endpoint = p.server.URL
	s := open(t, o)
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	p.spoil(onlyUpdates(always(denied())))
	checkError(t, s.Check(t.Context()), slashing.ErrUnavailable)
	p.spoil(onlyUpdates(always(lose())))
	checkError(t, s.Check(t.Context()), slashing.ErrUnavailable)
	empty := pass()
	empty.wait = func() {
		key := attributes{"key": binary([]byte("meta"))}
		if _, err := shared.Client().DeleteItem(t.Context(), &sdk.DeleteItemInput{TableName: &o.Table, Key: key}); err != nil {
			t.Error(err)
		}
	}
	p.spoil(onlyUpdates(first(1, empty)))
	_ = s.Check(t.Context()) // it was there when it was looked at
	if got := item(t, o.Table, []byte("meta")); len(got) != 0 {
		t.Errorf("made %v", got)
	}
}
